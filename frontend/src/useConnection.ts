// The service that this page talks to: its configuration, what it says of itself, the key and the models.
import { useCallback, useEffect, useState } from "react";
import { type Config, type ConfigError, loadConfig } from "./api/config";
import { type Credential, forgetKey, storedKey, storeKey } from "./api/credential";
import { ServiceError } from "./api/errors";
import { loadModels, loadService, type Service } from "./api/service";
import type { Model } from "./api/types";

/** Milliseconds until the next try to reach the service: the first, and the longest. */
const FIRST_PAUSE_MS = 2_000;
const LONGEST_PAUSE_MS = 30_000;

export interface Connection {
  config: Config | null;
  service: Service | null;
  models: Model[];
  secret: string;
  /** Whether the key was entered here; the local run's own key was not, and cannot be forgotten. */
  entered: boolean;
  remembered: boolean;
  /** Why the page cannot ask the service now; null where it can, or is still connecting. */
  problem: ServiceError | ConfigError | null;
  ready: boolean;
  enterKey(secret: string, remember: boolean): void;
  dropKey(): void;
  retry(): void;
}

export function useConnection(): Connection {
  const [config, setConfig] = useState<Config | null>(null);
  const [service, setService] = useState<Service | null>(null);
  const [models, setModels] = useState<Model[] | null>(null);
  const [key, setKey] = useState(storedKey);
  const [problem, setProblem] = useState<ServiceError | ConfigError | null>(null);
  const [tries, setTries] = useState(0);
  const entered = key?.secret ?? ""; // else the configuration's, which `connect` reads

  const retry = useCallback(() => setTries((count) => count + 1), []);

  // `tries` is not read: a new try is what runs this again.
  // biome-ignore lint/correctness/useExhaustiveDependencies: see above
  useEffect(() => {
    let current = true;
    connect(config, service, entered)
      .then((found) => {
        if (!current) return;
        setConfig(found.config);
        setService(found.service);
        setModels(found.models);
        setProblem(found.problem);
      })
      .catch((error) => {
        if (current) setProblem(error);
      });
    return () => {
      current = false;
    };
  }, [entered, tries]);

  // What may pass by itself is tried again: a service that cannot be reached, or one that fails.
  const passing = problem instanceof ServiceError && (problem.status === 0 || problem.status === 429 || problem.status >= 500);
  useEffect(() => {
    if (!passing) return;
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** tries, LONGEST_PAUSE_MS);
    const timer = setTimeout(retry, Math.max(pause, (problem.retryAfter ?? 0) * 1000));
    window.addEventListener("online", retry);
    return () => {
      clearTimeout(timer);
      window.removeEventListener("online", retry);
    };
  }, [passing, problem, tries, retry]);

  return {
    config,
    service,
    models: models ?? [],
    secret: entered || config?.apiKey || "",
    entered: key !== null,
    remembered: key?.remembered ?? false,
    problem,
    ready: problem === null && models !== null,
    enterKey: (entered, remember) => {
      storeKey(entered, remember);
      setKey({ secret: entered, remembered: remember });
      retry();
    },
    dropKey: () => {
      forgetKey();
      setKey(null);
      retry();
    },
    retry,
  };
}

async function connect(known: Config | null, described: Service | null, entered: string) {
  const config = known ?? (await loadConfig());
  const service = described ?? (await loadService(config));
  const credential: Credential = { authorization: service.authorization, secret: entered || config.apiKey };
  try {
    return { config, service, models: await loadModels(config, credential), problem: null };
  } catch (problem) {
    return { config, service, models: null, problem: problem as ServiceError };
  }
}
