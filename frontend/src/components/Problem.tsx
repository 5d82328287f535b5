import { useEffect, useState } from "react";
import type { ConfigError } from "../api/config";
import { explain, ServiceError } from "../api/errors";

interface Props {
  error: ServiceError;
  onKey?: () => void;
  /** Null where nothing can be repeated now. */
  onRetry: (() => void) | null;
}

/** A failure: what happened, what to do, and the button for it. */
export function Problem({ error, onKey, onRetry }: Props) {
  const { title, advice, action, wait } = explain(error);
  const left = useCountdown(error, wait);
  return (
    <div className="problem">
      <p>
        <strong>{title}.</strong> {advice}
      </p>
      {error.requestId && (
        <p className="note">
          Request <code>{error.requestId}</code>
        </p>
      )}
      {action === "key" && onKey && (
        <button type="button" onClick={onKey}>
          Enter another key
        </button>
      )}
      {action === "retry" && onRetry && (
        <button type="button" onClick={onRetry} disabled={left > 0}>
          {left > 0 ? `Try again in ${left} s` : "Try again"}
        </button>
      )}
    </div>
  );
}

/** The service cannot be asked at all. */
export function ConnectionProblem({ problem, onRetry }: { problem: ServiceError | ConfigError; onRetry: () => void }) {
  return (
    <section className="card" aria-label="Problem">
      {problem instanceof ServiceError ? (
        <Problem error={problem} onRetry={onRetry} />
      ) : (
        <div className="problem">
          <p>
            <strong>This page is not set up.</strong> {problem.message}. Its operator has to deploy it again.
          </p>
          <button type="button" onClick={onRetry}>
            Try again
          </button>
        </div>
      )}
    </section>
  );
}

/** Whole seconds that are left of `seconds`, from when `event` came. */
function useCountdown(event: unknown, seconds: number): number {
  const [left, setLeft] = useState(seconds);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another failure begins another countdown
  useEffect(() => {
    const end = Date.now() + seconds * 1000;
    setLeft(seconds);
    const timer = setInterval(() => setLeft(Math.max(0, Math.ceil((end - Date.now()) / 1000))), 500);
    return () => clearInterval(timer);
  }, [event, seconds]);
  return left;
}
