import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { ServiceError } from "./api/errors";
import type { Turn } from "./api/types";
import { Answer } from "./components/Answer";
import { Composer, type Order } from "./components/Composer";
import { KeyPanel } from "./components/KeyPanel";
import { ConnectionProblem } from "./components/Problem";
import { Results } from "./components/Results";
import { Comparison } from "./runs/comparison";
import { RestTransport } from "./transports/rest";
import { SseTransport } from "./transports/sse";
import { TRANSPORTS, type Transport, type TransportId } from "./transports/transport";
import { WebSocketTransport } from "./transports/websocket";
import { type Connection, useConnection } from "./useConnection";

export function App() {
  const connection = useConnection();
  const [comparison] = useState(() => new Comparison());
  const snapshot = useSyncExternalStore(comparison.subscribe, comparison.read);
  const [history, setHistory] = useState<Turn[]>([]);
  const [keyOpen, setKeyOpen] = useState(false);
  const [last, setLast] = useState<Order | null>(null);
  const transports = useTransports(connection);
  const keyButton = useRef<HTMLButtonElement>(null);
  const needsKey = connection.service?.authorization === "api_key" || connection.service?.authorization === "jwt";
  const keyRefused = connection.problem instanceof ServiceError && connection.problem.status === 401;
  const shown = last?.transports ?? [...transports.keys()];

  const run = async (order: Order) => {
    setLast(order);
    const chosen = new Map([...transports].filter(([id]) => order.transports.includes(id)));
    const text = await comparison.run(chosen, order.request, order.times);
    if (text && order.keepTurn) {
      const turns: Turn[] = [
        { role: "user", content: order.request.message },
        { role: "assistant", content: text },
      ];
      setHistory((before) => [...before, ...turns]);
    }
  };

  return (
    <>
      <header>
        <div>
          <h1>Transports side by side</h1>
          <p>One prompt over every way to ask the service, at once and measured.</p>
        </div>
        <div className="header-actions">
          {connection.config?.statusUrl && <a href={connection.config.statusUrl}>What runs here</a>}
          {needsKey && (
            <button type="button" ref={keyButton} aria-expanded={keyOpen || keyRefused} onClick={() => setKeyOpen(!keyOpen)}>
              {connection.service?.authorization === "jwt" ? "Token" : "API key"}
              {connection.ready ? " ✓" : ""}
            </button>
          )}
        </div>
      </header>
      <main>
        {needsKey && (keyOpen || keyRefused) && (
          <KeyPanel
            connection={connection}
            onClose={() => {
              setKeyOpen(false);
              keyButton.current?.focus();
            }}
          />
        )}
        {connection.problem && !keyRefused && <ConnectionProblem problem={connection.problem} onRetry={connection.retry} />}
        <Composer
          connection={connection}
          transports={[...transports.keys()]}
          history={history}
          onHistory={setHistory}
          running={snapshot.current > 0}
          onRun={run}
          onStop={() => comparison.stop()}
        />
        <section aria-labelledby="answers">
          <h2 id="answers">Answers</h2>
          {snapshot.of > 1 && snapshot.current > 0 && (
            <p className="note">
              Run {snapshot.current} of {snapshot.of}
            </p>
          )}
          <div className="answers">
            {shown.map((id) => (
              <Answer
                key={id}
                id={id}
                attempt={snapshot.attempts[id] ?? null}
                onStop={() => comparison.stop(id)}
                onKey={() => setKeyOpen(true)}
                onRetry={last && snapshot.current === 0 ? () => run(last) : null}
              />
            ))}
          </div>
        </section>
        <Results groups={snapshot.groups} transports={[...transports.keys()]} onClear={() => comparison.clear()} />
      </main>
      <output className="visually-hidden">{snapshot.announcement}</output>
    </>
  );
}

/** The transports that the configuration names. They are made anew with another key. */
function useTransports({ config, service, secret }: Connection): Map<TransportId, Transport> {
  const transports = useMemo(() => {
    const made = new Map<TransportId, Transport>();
    if (!config || !service) return made;
    const connection = { config, credential: { authorization: service.authorization, secret } };
    for (const id of TRANSPORTS) {
      if (id === "rest") made.set(id, new RestTransport(connection));
      else if (id === "sse") made.set(id, new SseTransport(connection, service.stops));
      else if (config.websocketUrl) made.set(id, new WebSocketTransport(connection, config.websocketUrl));
    }
    return made;
  }, [config, service, secret]);
  useEffect(() => {
    const socket = transports.get("websocket");
    return () => {
      if (socket instanceof WebSocketTransport) socket.close();
    };
  }, [transports]);
  return transports;
}
