import { useEffect, useRef, useState } from "react";
import type { RunRecord } from "../runs/comparison";
import { FIGURE_TEXTS, type Figure, format, quantile } from "../runs/figures";
import { NAMES, type TransportId } from "../transports/transport";

interface Props {
  records: RunRecord[];
  transports: TransportId[];
  figure: Figure;
}

const LABEL_WIDTH = 84;
const ROW_HEIGHT = 44;
const AXIS_HEIGHT = 24;
const HISTORY_HEIGHT = 180;
const MARGIN = 12;
// The most different heights of dots in a row, so that equal values stay visible.
const LANES = 5;

/** A dot for each run, a row for each transport, and a box from the first to the third quartile with the median. */
export function StripPlot({ records, transports, figure }: Props) {
  const [ref, width] = useWidth();
  const rows = transports.filter((id) => valuesOf(records, id, figure).length > 0);
  const high = highest(records, rows, figure);
  const x = (value: number) => LABEL_WIDTH + (value / high) * (width - LABEL_WIDTH - MARGIN);
  const height = rows.length * ROW_HEIGHT + AXIS_HEIGHT;
  return (
    <div ref={ref}>
      <svg width={width} height={height} role="img" aria-label={summary(records, rows, figure)}>
        {ticks(high).map((tick) => (
          <g key={tick}>
            <line className="grid" x1={x(tick)} x2={x(tick)} y1={0} y2={height - AXIS_HEIGHT} />
            <text x={x(tick)} y={height - 6} textAnchor="middle">
              {tick}
            </text>
          </g>
        ))}
        {rows.map((id, row) => {
          const values = valuesOf(records, id, figure);
          const [low = 0, median = 0, top = 0] = [0.25, 0.5, 0.75].map((q) => quantile(values, q) ?? 0);
          const y = row * ROW_HEIGHT + ROW_HEIGHT / 2;
          return (
            <g key={id} className={id}>
              <text x={0} y={y + 4} className="row-name">
                {NAMES[id]}
              </text>
              <rect className="box" x={x(low)} y={y - 14} width={Math.max(1, x(top) - x(low))} height={28} rx={3} />
              {values.map((value, index) => (
                <Mark
                  // biome-ignore lint/suspicious/noArrayIndexKey: the place in the list of runs is all that tells dots apart
                  key={index}
                  id={id}
                  x={x(value)}
                  y={y + ((index % LANES) - (LANES - 1) / 2) * 4}
                />
              ))}
              <line className="median" x1={x(median)} x2={x(median)} y1={y - 16} y2={y + 16} />
            </g>
          );
        })}
      </svg>
    </div>
  );
}

/** A line for each transport over the runs. */
export function HistoryPlot({ records, transports, figure }: Props) {
  const [ref, width] = useWidth();
  const lines = transports.filter((id) => valuesOf(records, id, figure).length > 0);
  const high = highest(records, lines, figure);
  const left = 44;
  const bottom = HISTORY_HEIGHT - AXIS_HEIGHT;
  const first = records[0]?.number ?? 1;
  const last = records.at(-1)?.number ?? 1;
  const x = (run: number) => left + MARGIN + ((run - first) / Math.max(1, last - first)) * (width - left - 2 * MARGIN);
  const y = (value: number) => bottom - (value / high) * (bottom - MARGIN);
  return (
    <div ref={ref}>
      <svg width={width} height={HISTORY_HEIGHT} role="img" aria-label={`${summary(records, lines, figure)} Run after run.`}>
        {ticks(high).map((tick) => (
          <g key={tick}>
            <line className="grid" x1={left} x2={width} y1={y(tick)} y2={y(tick)} />
            <text x={left - 8} y={y(tick) + 4} textAnchor="end">
              {tick}
            </text>
          </g>
        ))}
        {[...new Set([first, last])].map((run) => (
          <text key={run} x={x(run)} y={HISTORY_HEIGHT - 6} textAnchor={run === first ? "start" : "end"}>
            run {run}
          </text>
        ))}
        {lines.map((id) => {
          const points = records.flatMap(({ number, figures }) => {
            const value = figures[id]?.[figure];
            return value == null ? [] : [{ number, x: x(number), y: y(value) }];
          });
          return (
            <g key={id} className={id}>
              <polyline points={points.map((point) => `${point.x},${point.y}`).join(" ")} />
              {points.map((point) => (
                <Mark key={point.number} id={id} x={point.x} y={point.y} />
              ))}
            </g>
          );
        })}
      </svg>
    </div>
  );
}

/** A transport's own mark, so that colour alone does not tell them apart. */
function Mark({ id, x, y }: { id: TransportId; x: number; y: number }) {
  if (id === "rest") return <rect className="mark" x={x - 3} y={y - 3} width={6} height={6} />;
  if (id === "sse") return <circle className="mark" cx={x} cy={y} r={3.5} />;
  return <path className="mark" d={`M${x},${y - 4.5}l4.5,8h-9z`} />;
}

function valuesOf(records: RunRecord[], id: TransportId, figure: Figure): number[] {
  return records.flatMap((record) => record.figures[id]?.[figure] ?? []);
}

function highest(records: RunRecord[], transports: TransportId[], figure: Figure): number {
  const most = Math.max(1, ...transports.flatMap((id) => valuesOf(records, id, figure)));
  return (ticks(most).at(-1) ?? 0) < most ? most * 1.05 : most;
}

/** Round numbers from 0 to at most `high`, about four of them. */
function ticks(high: number): number[] {
  const power = 10 ** Math.floor(Math.log10(high / 4));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => high / size <= 5) ?? high;
  return Array.from({ length: Math.floor(high / step) + 1 }, (_, index) => Number((index * step).toPrecision(6)));
}

function summary(records: RunRecord[], transports: TransportId[], figure: Figure): string {
  const { name, unit } = FIGURE_TEXTS[figure];
  const medians = transports.map((id) => `${NAMES[id]} ${format(quantile(valuesOf(records, id, figure), 0.5), figure)}`);
  const runs = records.length === 1 ? "1 run" : `${records.length} runs`;
  return `${name} over ${runs}, median in ${unit}: ${medians.join(", ") || "none"}.`;
}

/** The width of an element, as it changes. */
function useWidth(): [React.RefObject<HTMLDivElement | null>, number] {
  const ref = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(320);
  useEffect(() => {
    if (!ref.current) return;
    const observer = new ResizeObserver(([entry]) => entry && setWidth(Math.floor(entry.contentRect.width)));
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return [ref, width];
}
