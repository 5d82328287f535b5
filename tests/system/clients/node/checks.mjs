// Runs the checks of one client over several models, and prints a line of JSON for each: its name, the model, and what failed.

export const baseURL = process.env.BASE_URL;
export const apiKey = process.env.API_KEY;

export async function run(checks) {
  for (const model of process.env.MODELS.split(",")) {
    for (const check of checks) {
      let failure = "";
      try {
        await check(model);
      } catch (error) {
        failure = String(error);
      }
      console.log(JSON.stringify({ check: check.name, model, failure }));
    }
  }
}
