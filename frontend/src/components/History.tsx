import type { Turn } from "../api/types";

interface Props {
  turns: Turn[];
  onChange: (turns: Turn[]) => void;
  keep: boolean;
  onKeep: (keep: boolean) => void;
}

/** The earlier turns that are sent with a prompt. */
export function History({ turns, onChange, keep, onKeep }: Props) {
  return (
    <fieldset className="wide history">
      <legend>History</legend>
      <label className="check">
        <input type="checkbox" checked={keep} onChange={(event) => onKeep(event.target.checked)} />
        Continue the conversation: each prompt and the first complete answer become part of it
      </label>
      {turns.length === 0 ? (
        <p className="note">Nothing yet: a prompt is sent alone.</p>
      ) : (
        <>
          <ol>
            {turns.map((turn, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: turns are only added and removed at the end
              <li key={index}>
                <strong>{turn.role === "user" ? "You" : "Model"}</strong> {turn.content}
              </li>
            ))}
          </ol>
          <div className="row">
            <button type="button" onClick={() => onChange(turns.slice(0, -2))}>
              Remove the last turn
            </button>
            <button type="button" onClick={() => onChange([])}>
              Clear the history
            </button>
          </div>
        </>
      )}
    </fieldset>
  );
}
