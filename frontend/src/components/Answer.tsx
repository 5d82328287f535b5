import { useEffect, useState } from "react";
import type { Attempt, Phase } from "../runs/comparison";
import { FIGURE_TEXTS, FIGURES, figures, format } from "../runs/figures";
import { DESCRIPTIONS, NAMES, type TransportId } from "../transports/transport";
import { Markdown } from "./Markdown";
import { Problem } from "./Problem";
import { Sources } from "./Sources";

interface Props {
  id: TransportId;
  attempt: Attempt | null;
  onStop: () => void;
  onKey: () => void;
  onRetry: (() => void) | null;
}

const PHASES: Record<Phase, string> = {
  waiting: "Waiting",
  limited: "Rate limit, waiting",
  answering: "Answering",
  reconnecting: "Reconnecting",
  done: "Complete",
  stopped: "Stopped",
  failed: "Failed",
};

// Why an answer that is complete for the transport is not the model's whole answer.
const STOP_REASONS: Record<string, string> = {
  max_tokens: "The answer reached its longest length.",
  cancelled: "The answer was stopped.",
  stop_sequence: "A stop sequence ended the answer.",
  content_filtered: "The provider's filter ended the answer.",
  context_window_exceeded: "The model's context is full.",
};

/** One transport: how far its answer has come, its figures and its text. */
export function Answer({ id, attempt, onStop, onKey, onRetry }: Props) {
  const running = attempt !== null && ["waiting", "limited", "answering", "reconnecting"].includes(attempt.phase);
  const now = useClock(running);
  const measured = attempt && figures(attempt.timeline, now);
  if (measured && attempt && ["limited", "stopped", "failed"].includes(attempt.phase)) measured.total = measured.rate = null;
  return (
    <article className={`card answer ${id}`} aria-labelledby={`answer-${id}`}>
      <div className="answer-head">
        <h3 id={`answer-${id}`}>{NAMES[id]}</h3>
        {attempt && <span className={`phase ${attempt.phase}`}>{PHASES[attempt.phase]}</span>}
        {attempt?.text && <CopyButton text={attempt.text} name={NAMES[id]} />}
        {running && (
          <button type="button" onClick={onStop} aria-label={`Stop ${NAMES[id]}`}>
            Stop
          </button>
        )}
      </div>
      <dl className="figures">
        {FIGURES.map((figure) => (
          <div key={figure}>
            <dt>{FIGURE_TEXTS[figure].name}</dt>
            <dd data-figure={figure}>
              {figure === "rate" && running && measured?.rate != null ? "≈ " : ""}
              {format(measured?.[figure] ?? null, figure)}
              {measured?.[figure] != null && <span className="unit"> {FIGURE_TEXTS[figure].unit}</span>}
            </dd>
          </div>
        ))}
      </dl>
      {attempt?.reasoning && (
        <details className="reasoning">
          <summary>Reasoning</summary>
          <Markdown text={attempt.reasoning} ended={!running} />
        </details>
      )}
      {attempt?.text ? (
        // A long answer scrolls in its card, by the keyboard too.
        // biome-ignore lint/a11y/noNoninteractiveTabindex: see above
        <section className="text" aria-label={`${NAMES[id]}: answer`} tabIndex={0}>
          <Markdown text={attempt.text} ended={!running} />
        </section>
      ) : (
        !attempt?.error && <p className="empty">{running ? "…" : DESCRIPTIONS[id]}</p>
      )}
      {attempt && attempt.citations.length > 0 && <Sources citations={attempt.citations} name={NAMES[id]} />}
      {attempt?.uninformed && (
        <p className="note">The documents could not be searched, so this answer was written without them.</p>
      )}
      {attempt?.error && <Problem error={attempt.error} onKey={onKey} onRetry={onRetry} />}
      {attempt && STOP_REASONS[attempt.stopReason] && <p className="note">{STOP_REASONS[attempt.stopReason]}</p>}
      {attempt?.phase === "stopped" && <p className="note">You stopped it. It does not count in the results.</p>}
      {attempt?.target && attempt.phase === "done" && <p className="note">Answered by {attempt.target}</p>}
    </article>
  );
}

function CopyButton({ text, name }: { text: string; name: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 2_000);
    return () => clearTimeout(timer);
  }, [copied]);
  if (!navigator.clipboard) return null; // the browser allows it only on a secure page
  return (
    <button
      type="button"
      className="quiet"
      aria-label={`Copy the answer of ${name}`}
      onClick={() => navigator.clipboard.writeText(text).then(() => setCopied(true))}
    >
      {copied ? "Copied" : "Copy"}
    </button>
  );
}

/** The time, which goes on while something runs. */
function useClock(running: boolean): number {
  const [, tick] = useState(0);
  useEffect(() => {
    if (!running) return;
    const timer = setInterval(() => tick((count) => count + 1), 100);
    return () => clearInterval(timer);
  }, [running]);
  return performance.now();
}
