import { useState } from "react";
import type { RunRecord } from "../runs/comparison";
import { FIGURE_TEXTS, FIGURES, type Figure, format, quantile } from "../runs/figures";
import { NAMES, type TransportId } from "../transports/transport";
import { HistoryPlot, StripPlot } from "./Plots";

interface Props {
  records: RunRecord[];
  transports: TransportId[];
  onClear: () => void;
}

/** The last runs: a figure as plots, all figures as a table, and what each of them means. */
export function Results({ records, transports, onClear }: Props) {
  const [figure, setFigure] = useState<Figure>("firstChunk");
  const text = FIGURE_TEXTS[figure];
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
            <dt>p50, p95</dt>
            <dd>
              Half of the runs, and 95 of 100, have this value or a lower one. With few runs, values between are interpolated.
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

function ComparisonTable({ records, transports }: Omit<Props, "onClear">) {
  const values = (id: TransportId, figure: Figure) =>
    records.map((record) => record.figures[id]?.[figure] ?? null).filter((value) => value !== null);
  const used = transports.filter((id) => values(id, "total").length > 0);
  return (
    <div className="card">
      <table>
        <caption>Median (p50) and p95 of the runs</caption>
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
                      <span className="p95">p95 {format(quantile(values(id, figure), 0.95), figure)}</span>
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
