import { type FormEvent, type KeyboardEvent, useId, useRef, useState } from "react";
import type { Bounds } from "../api/service";
import type { ChatRequest, Model, Turn } from "../api/types";
import { NAMES, type TransportId } from "../transports/transport";
import type { Connection } from "../useConnection";
import { History } from "./History";

/** What the user asks for: a request, over which transports, how often. `keepTurn`: the answer becomes part of the history. */
export interface Order {
  request: ChatRequest;
  transports: TransportId[];
  times: number;
  keepTurn: boolean;
}

interface Props {
  connection: Connection;
  transports: TransportId[];
  history: Turn[];
  onHistory: (turns: Turn[]) => void;
  running: boolean;
  onRun: (order: Order) => void;
  onStop: () => void;
}

const PARAMETERS = ["max_tokens", "temperature", "top_p"] as const;
type Parameter = (typeof PARAMETERS)[number];
const PARAMETER_NAMES: Record<Parameter, string> = {
  max_tokens: "Longest answer, in tokens",
  temperature: "Temperature",
  top_p: "Top p",
};
const MOST_REPETITIONS = 100;

export function Composer({ connection, transports, history, onHistory, running, onRun, onStop }: Props) {
  const [message, setMessage] = useState("Hello! What can you do?");
  const [chosen, setChosen] = useState("");
  const [times, setTimes] = useState("1");
  const [off, setOff] = useState<TransportId[]>([]);
  const [system, setSystem] = useState("");
  const [parameters, setParameters] = useState<Record<Parameter, string>>({ max_tokens: "", temperature: "", top_p: "" });
  const [stop, setStop] = useState("");
  const [keepTurn, setKeepTurn] = useState(false);
  const settings = useRef<HTMLDetailsElement>(null);
  const form = useRef<HTMLFormElement>(null);
  const id = useId();
  const { service, models } = connection;
  const model = models.find((each) => each.id === chosen) ?? models[0];
  const used = transports.filter((each) => !off.includes(each));
  const takes = (name: Model["accepts"][number]) => !model || model.accepts.includes(name);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!connection.ready || running || used.length === 0 || !message.trim()) return;
    const sequences = stop.split("\n").filter(Boolean);
    const given = PARAMETERS.filter((name) => takes(name) && parameters[name] !== "");
    onRun({
      request: {
        message,
        ...(model ? { model: model.id } : {}),
        ...(system.trim() && takes("system") ? { system_prompt: system } : {}),
        ...Object.fromEntries(given.map((name) => [name, Number(parameters[name])])),
        ...(sequences.length > 0 && takes("stop") ? { stop: sequences } : {}),
        ...(history.length > 0 ? { history } : {}),
      },
      transports: used,
      times: Number(times),
      keepTurn,
    });
  };

  const submitByKey = (event: KeyboardEvent) => {
    // An input method that still composes keeps its Enter: the text is not yet what the user means.
    if (event.nativeEvent.isComposing) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.current?.requestSubmit();
  };

  return (
    <form
      className="card composer"
      ref={form}
      onSubmit={submit}
      // A field that is not valid is shown before the browser points at it.
      onInvalidCapture={(event) => {
        if (settings.current?.contains(event.target as Node)) settings.current.open = true;
      }}
    >
      <div className="field">
        <label htmlFor={`${id}-message`}>Prompt</label>
        <textarea
          id={`${id}-message`}
          rows={3}
          required
          value={message}
          onChange={(event) => setMessage(event.target.value)}
          onKeyDown={submitByKey}
          aria-describedby={`${id}-keys`}
        />
      </div>
      <div className="row">
        <div className="field model">
          <label htmlFor={`${id}-model`}>Model</label>
          <select
            id={`${id}-model`}
            value={model?.id ?? ""}
            onChange={(event) => setChosen(event.target.value)}
            disabled={!connection.ready}
            aria-describedby={`${id}-abilities`}
          >
            {models.length === 0 && <option value="">{connection.problem ? "not known" : "connecting …"}</option>}
            {models.map((each) => (
              <option key={each.id}>{each.id}</option>
            ))}
          </select>
        </div>
        <fieldset>
          <legend>Transports</legend>
          {transports.map((each) => (
            <label className="check" key={each}>
              <input
                type="checkbox"
                checked={!off.includes(each)}
                onChange={({ target }) => setOff(target.checked ? off.filter((other) => other !== each) : [...off, each])}
              />
              {NAMES[each]}
            </label>
          ))}
        </fieldset>
        <div className="field times">
          <label htmlFor={`${id}-times`}>Runs</label>
          <input
            id={`${id}-times`}
            type="number"
            required
            min={1}
            max={MOST_REPETITIONS}
            value={times}
            onChange={(event) => setTimes(event.target.value)}
          />
        </div>
        <div className="actions">
          {running ? (
            // Two buttons by their keys: one that became the other within a click would submit the form.
            <button key="stop" type="button" className="primary" onClick={onStop}>
              Stop all
            </button>
          ) : (
            <button key="run" type="submit" className="primary" disabled={!connection.ready || used.length === 0}>
              Run
            </button>
          )}
        </div>
      </div>
      <p className="note" id={`${id}-abilities`}>
        {model && abilities(model)}
      </p>
      <p className="visually-hidden" id={`${id}-keys`}>
        Control and Enter run the prompt.
      </p>
      <details ref={settings}>
        <summary>Parameters, system prompt and history</summary>
        <div className="settings">
          <div className="field wide">
            <label htmlFor={`${id}-system`}>System prompt</label>
            <textarea
              id={`${id}-system`}
              rows={2}
              value={system}
              placeholder={service?.systemPrompt}
              onChange={(event) => setSystem(event.target.value)}
              disabled={!takes("system")}
            />
          </div>
          {PARAMETERS.map((name) => (
            <NumberField
              key={name}
              id={`${id}-${name}`}
              label={PARAMETER_NAMES[name]}
              whole={name === "max_tokens"}
              bounds={service?.bounds[name] ?? null}
              taken={takes(name)}
              value={parameters[name]}
              onChange={(value) => setParameters({ ...parameters, [name]: value })}
            />
          ))}
          <div className="field wide">
            <label htmlFor={`${id}-stop`}>Stop sequences</label>
            <textarea
              id={`${id}-stop`}
              rows={2}
              value={stop}
              onChange={(event) => setStop(event.target.value)}
              disabled={!takes("stop")}
              aria-describedby={`${id}-stop-note`}
            />
            <span className="note" id={`${id}-stop-note`}>
              {takes("stop") ? "One a line. The answer ends before the first of them." : "This model takes none."}
            </span>
          </div>
          <History turns={history} onChange={onHistory} keep={keepTurn} onKeep={setKeepTurn} />
        </div>
      </details>
    </form>
  );
}

interface NumberFieldProps {
  id: string;
  label: string;
  whole: boolean;
  bounds: Bounds | null;
  taken: boolean;
  value: string;
  onChange: (value: string) => void;
}

/** A number that may be left out. `taken`: the model takes this parameter. */
function NumberField({ id, label, whole, bounds, taken, value, onChange }: NumberFieldProps) {
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        type="number"
        {...(bounds ? { min: bounds.minimum, max: bounds.maximum, placeholder: String(bounds.default) } : {})}
        step={whole ? 1 : 0.1}
        value={value}
        onChange={(event) => onChange(event.target.value)}
        disabled={!taken}
        aria-describedby={`${id}-note`}
      />
      <span className="note" id={`${id}-note`}>
        {taken ? bounds && `${bounds.minimum} to ${bounds.maximum}` : "This model does not take it."}
      </span>
    </div>
  );
}

function abilities(model: Model): string {
  const tokens = (count: number) => count.toLocaleString("en");
  const names: Partial<Record<Model["accepts"][number], string>> = {
    tools: "tools",
    reasoning_effort: "an effort of reasoning",
    stop: "stop sequences",
    temperature: "temperature",
    top_p: "top p",
  };
  const taken = model.accepts.map((each) => names[each]).filter(Boolean);
  const limits = `${tokens(model.context_tokens)} tokens of context, answers of up to ${tokens(model.max_output_tokens)}`;
  return `${limits}. Takes ${taken.join(", ") || "no parameters"}.`;
}
