import { defineConfig } from "vitest/config";

// `npm run dev` shows the sources over a service that runs: `make demo` in another terminal.
const service = "http://127.0.0.1:8787";

export default defineConfig({
  // The page stands at the root of its site, and is answered at any path of its own there.
  base: "/",
  build: {
    // Nothing is put into index.html or the style sheet as a data: URL, for the page's policy would refuse it.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: { "/config.json": service, "/api": service, "/status": service, "/ws": { target: service, ws: true } },
  },
  test: { include: ["src/**/*.test.ts"] },
});
