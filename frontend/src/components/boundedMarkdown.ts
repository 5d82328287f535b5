// Markdown to HTML, within bounds: whatever a model writes, it takes a fraction of a second and never fails.
import { Lexer, Marked, type Token, type TokensList } from "marked";

/** Quotes, lists and emphasis within each other: what is deeper is shown as it was written. A browser nests 512 elements. */
const MOST_LEVELS = 20;
/** Characters of one paragraph: a longer one is shown as it was written, because the time grows with the square of its length. */
const MOST_PARAGRAPH = 4_000;
/** Milliseconds for one text: paragraphs that are left then are shown as they were written. */
const MOST_MS = 200;

class BoundedLexer extends Lexer {
  private level = 0;
  private readonly deadline = performance.now() + MOST_MS;

  override blockTokens(source: string, tokens?: Token[], lastParagraphClipped?: boolean): Token[];
  override blockTokens(source: string, tokens?: TokensList, lastParagraphClipped?: boolean): TokensList;
  override blockTokens(source: string, tokens: Token[] = [], lastParagraphClipped?: boolean): Token[] {
    if (this.level > MOST_LEVELS || performance.now() > this.deadline) {
      tokens.push({ type: "paragraph", raw: source, text: source, tokens: plain(source) });
      return tokens;
    }
    this.level++;
    try {
      return super.blockTokens(source, tokens, lastParagraphClipped);
    } finally {
      this.level--;
    }
  }

  override inlineTokens(source: string, tokens: Token[] = []): Token[] {
    if (this.level > MOST_LEVELS || source.length > MOST_PARAGRAPH || performance.now() > this.deadline) {
      tokens.push(...plain(source));
      return tokens;
    }
    this.level++;
    try {
      return super.inlineTokens(source, tokens);
    } finally {
      this.level--;
    }
  }
}

// HTML that a model writes is shown as text, and an image as its description, for an image's address could tell somebody else what
// was asked.
const markdown = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text }) => (/^<br\s*\/?>$/i.test(text) ? "<br>" : escapeHtml(text)),
    image: ({ text }) => escapeHtml(text),
  },
});

/** Return a text in Markdown as HTML, which is to be sanitized all the same. What cannot be read is shown as it was written. */
export function toHtml(text: string): string {
  try {
    return markdown.parser(new BoundedLexer(markdown.defaults).lex(text));
  } catch {
    return `<p>${escapeHtml(text).replace(/\n/g, "<br>")}</p>`;
  }
}

function plain(source: string): Token[] {
  const lines = source.split("\n").map((line): Token => ({ type: "text", raw: line, text: line, escaped: false }));
  return lines.flatMap((line, index) => (index === 0 ? [line] : [{ type: "br", raw: "\n" }, line]));
}

function escapeHtml(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
}
