import { expect, test } from "vitest";
import { toHtml } from "./boundedMarkdown";

const CHARACTERS = 40_000;

test.each([
  ">",
  "> ",
  "1. ",
  "- a\n  ",
  "*a",
  "*a_b",
  "_a",
  "~~a",
  "a**b",
  "[",
  "[a](",
  "<",
  "\\",
  "`a",
  "a@",
  "a",
  " ",
  "|a",
  "\n> ",
  "&#",
])("%j again and again is shown in time", (part) => {
  const text = part.repeat(Math.ceil(CHARACTERS / part.length));
  for (const each of [text, `a${text}b`, nested(part), paragraphs(part)]) {
    expect(typeof toHtml(each)).toBe("string"); // within the test's 5 s
  }
});

test("what is nested too deeply is shown as it was written", () => {
  const html = toHtml(`${">".repeat(2_500)}a & <b>`);
  expect(html.match(/<blockquote>/g)).toHaveLength(21);
  expect(html).toContain("&gt;&gt;a &amp; &lt;b&gt;");
});

test("a long paragraph keeps its lines, and the next one its Markdown", () => {
  const html = toHtml(`${"*a* ".repeat(1_001)}\nb\n\n*c*`);
  expect(html).toContain("*a* <br>b");
  expect(html).toContain("<em>c</em>");
});

test("an ordinary answer is rendered", () => {
  const html = toHtml(
    "# T\n\n- a\n  - **b** `c`\n\n> q\n\n| h |\n|---|\n| 1 |\n\n<script>x</script> ![i](https://evil.example/)",
  );
  for (const tag of ["<h1>", "<ul>", "<strong>", "<code>", "<blockquote>", "<table>"]) expect(html).toContain(tag);
  expect(html).not.toMatch(/<script|<img/);
});

/** A list whose items are deeper each time. */
const nested = (part: string) => Array.from({ length: 200 }, (_, depth) => `${" ".repeat(depth * 2)}- ${part}`).join("\n");

/** Paragraphs that are just short enough to be read as Markdown. */
const paragraphs = (part: string) => `${part.repeat(2_000 / part.length)}\n\n`.repeat(20);
