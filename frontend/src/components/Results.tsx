import { useId, useState } from "react";
import type { RunGroup, RunRecord } from "../runs/comparison";
import { FIGURE_TEXTS, FIGURES, type Figure, format, quantile } from "../runs/figures";
import { NAMES, type TransportId } from "../transports/transport";
import { HistoryPlot, StripPlot } from "./Plots";

interface Props {
  groups: RunGroup[];
  transports: TransportId[];
  onClear: () => void;
}

/** The last runs of one request: a figure as plots, all figures as a table, and what each of them means. */
export function Results({ groups, transports, onClear }: Props) {
  const [figure, setFigure] = useState<Figure>("firstChunk");
  const [chosen, setChosen] = useState<{ id: number; latest: RunGroup | undefined } | null>(null);
  const id = useId();
  const text = FIGURE_TEXTS[figure];
  // Another run shows its own group again.
  const latest = groups[0];
  const group = (chosen?.latest === latest && groups.find((each) => each.id === chosen?.id)) || latest;
  const records = group?.records ?? [];
  return (
    <section aria-labelledby="results" className="results">
      <div className="results-head">
        <h2 id="results">Results</h2>
        {records.length > 0 && (
          <>
            <span className="note">
              {records.length === 1 ? "1 run" : `The last ${records.length} runs`}; an answer counts when it is complete
            </span>
            <button type="button" className="quiet" onClick={onClear}>
              Clear
            </button>
          </>
        )}
      </div>
      {groups.length > 1 && (
        <div className="row">
          <div className="field grow">
            <label htmlFor={id}>Request</label>
            <select id={id} value={group?.id} onChange={({ target }) => setChosen({ id: Number(target.value), latest })}>
              {groups.map((each) => (
                <option key={each.id} value={each.id}>
                  {title(each)}
                </option>
              ))}
            </select>
          </div>
          <span className="note">Runs with another prompt, model, parameter or history are not mixed.</span>
        </div>
      )}
      {records.length === 0 ? (
        <p className="card empty">The figures of your runs are compared here. Run a prompt to begin.</p>
      ) : (
        <>
          <div className="card">
            <fieldset className="tabs">
              <legend className="visually-hidden">Figure to plot</legend>
              {FIGURES.map((each) => (
                <label key={each}>
                  <input type="radio" name="figure" checked={figure === each} onChange={() => setFigure(each)} />
                  {FIGURE_TEXTS[each].name}
                </label>
              ))}
            </fieldset>
            <div className="plots">
              <figure>
                <figcaption>
                  {text.name} of each run, in {text.unit}. The box holds the middle half, its line is the median.
                </figcaption>
                <StripPlot records={records} transports={transports} figure={figure} />
              </figure>
              <figure>
                <figcaption>
                  {text.name} in {text.unit}, run after run
                </figcaption>
                <HistoryPlot records={records} transports={transports} figure={figure} />
              </figure>
            </div>
          </div>
          <ComparisonTable records={records} transports={transports} />
        </>
      )}
      <details className="card">
        <summary>What the figures measure</summary>
        <dl className="meanings">
          {FIGURES.map((each) => (
            <div key={each}>
              <dt>
                {FIGURE_TEXTS[each].name} ({FIGURE_TEXTS[each].unit})
              </dt>
              <dd>{FIGURE_TEXTS[each].meaning}</dd>
            </div>
          ))}
          <div>
            <dt>p50, p95, p5</dt>
            <dd>
              p50 is the median: half of the runs have this value or a lower one. The other one is at the bad end: 95 of 100
              runs have p95 or a lower value; of tokens per second, where more is better, p5 or a higher one. With few runs,
              values between are interpolated.
            </dd>
          </div>
          <div>
            <dt>Side by side</dt>
            <dd>
              The transports run at the same time, each with a generation of its own, so they share the model's capacity and
              this browser. Choose one transport to measure it alone. In a series, a request that the key's rate limit refuses
              is sent again later, and measured from then.
            </dd>
          </div>
        </dl>
      </details>
    </section>
  );
}

/** A request in one line, with what it asks for besides the prompt. */
function title({ request, records }: RunGroup): string {
  const { message, model, system_prompt, history, stop, ...parameters } = request;
  const parts = [
    quoted(message, 40),
    model,
    ...Object.entries(parameters).map(([name, value]) => `${name} ${value}`),
    stop && "stop sequences",
    system_prompt && `system prompt ${quoted(system_prompt, 20)}`,
    history && `history of ${history.length}`,
    records.length === 1 ? "1 run" : `${records.length} runs`,
  ];
  return parts.filter(Boolean).join(" · ");
}

/** The beginning of a text, at most so many characters of it. */
function quoted(text: string, most: number): string {
  const line = text.trim().replace(/\s+/g, " ");
  return `“${line.length > most ? `${line.slice(0, most).trimEnd()} …` : line}”`;
}

function ComparisonTable({ records, transports }: { records: RunRecord[]; transports: TransportId[] }) {
  const values = (id: TransportId, figure: Figure) =>
    records.map((record) => record.figures[id]?.[figure] ?? null).filter((value) => value !== null);
  const used = transports.filter((id) => values(id, "total").length > 0);
  return (
    <div className="card">
      <table>
        <caption>Median of the runs, and the bad end: p95, of tokens per second p5</caption>
        <thead>
          <tr>
            <td />
            {used.map((id) => (
              <th key={id} scope="col" className={id}>
                {NAMES[id]}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {FIGURES.map((figure) => (
            <tr key={figure}>
              <th scope="row">
                {FIGURE_TEXTS[figure].name} <span className="unit">{FIGURE_TEXTS[figure].unit}</span>
              </th>
              {used.map((id) => (
                <td key={id} data-cell={`${id} ${figure}`}>
                  {values(id, figure).length === 0 ? (
                    "–"
                  ) : (
                    <>
                      <strong>{format(quantile(values(id, figure), 0.5), figure)}</strong>
                      <span className="tail">
                        {FIGURE_TEXTS[figure].tail.name}{" "}
                        {format(quantile(values(id, figure), FIGURE_TEXTS[figure].tail.q), figure)}
                      </span>
                    </>
                  )}
                </td>
              ))}
            </tr>
          ))}
          <tr>
            <th scope="row">Complete answers</th>
            {used.map((id) => (
              <td key={id}>{values(id, "total").length}</td>
            ))}
          </tr>
        </tbody>
      </table>
    </div>
  );
}
