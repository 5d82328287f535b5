import { type FormEvent, useEffect, useId, useRef, useState } from "react";
import { explain, ServiceError } from "../api/errors";
import type { Connection } from "../useConnection";

/** Where the key is entered. It stays in this tab, unless the user asks that the device remembers it. */
export function KeyPanel({ connection, onClose }: { connection: Connection; onClose: () => void }) {
  const [secret, setSecret] = useState("");
  const [remember, setRemember] = useState(connection.remembered);
  const [visible, setVisible] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const id = useId();
  const problem = connection.problem instanceof ServiceError && connection.problem.status === 401 ? connection.problem : null;
  const what = connection.service?.authorization === "jwt" ? "Token" : "API key";

  useEffect(() => input.current?.focus(), []);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!secret.trim()) return;
    connection.enterKey(secret.trim(), remember);
    setSecret("");
    onClose();
  };

  return (
    <form className="card key-panel" onSubmit={submit} aria-label="Key entry">
      {problem && connection.secret !== "" && (
        <p className="error-text" id={`${id}-problem`}>
          <strong>{explain(problem).title}.</strong> {explain(problem).advice}
        </p>
      )}
      {problem && connection.secret === "" && <p id={`${id}-problem`}>This service needs a key. Enter yours to begin.</p>}
      <div className="row">
        <div className="field grow">
          <label htmlFor={id}>{what}</label>
          <input
            id={id}
            ref={input}
            type={visible ? "text" : "password"}
            value={secret}
            onChange={(event) => setSecret(event.target.value)}
            autoComplete="off"
            spellCheck={false}
            aria-invalid={problem !== null && connection.secret !== ""}
            {...(problem ? { "aria-describedby": `${id}-problem` } : {})}
          />
        </div>
        <button type="button" aria-pressed={visible} onClick={() => setVisible(!visible)}>
          Show
        </button>
        <button type="submit" className="primary" disabled={!secret.trim()}>
          Use key
        </button>
      </div>
      <div className="row key-options">
        <label className="check">
          <input type="checkbox" checked={remember} onChange={(event) => setRemember(event.target.checked)} />
          Remember it on this device
        </label>
        <span className="note grow">
          Otherwise it is forgotten when this tab closes. It is sent to this service only, and never in a URL.
        </span>
        {connection.entered && (
          <button type="button" className="quiet" onClick={connection.dropKey}>
            Forget the {what === "Token" ? "token" : "key"} that you entered
          </button>
        )}
        {!problem && (
          <button type="button" className="quiet" onClick={onClose}>
            Close
          </button>
        )}
      </div>
    </form>
  );
}
