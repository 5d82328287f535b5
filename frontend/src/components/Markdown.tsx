import DOMPurify from "dompurify";
import { Marked } from "marked";
import { memo, useMemo } from "react";

// HTML that a model writes is shown as text, and an image as its description, for an image's address could tell somebody else what
// was asked. What is left is sanitized all the same.
const markdown = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text }) => (/^<br\s*\/?>$/i.test(text) ? "<br>" : escapeHtml(text)),
    image: ({ text }) => escapeHtml(text),
  },
});

const ALLOWED = {
  ALLOWED_TAGS: [
    ..."a b blockquote br code del em h1 h2 h3 h4 h5 h6 hr i li ol p pre s strong sub sup".split(" "),
    ..."table tbody td th thead tr ul".split(" "),
  ],
  ALLOWED_ATTR: ["href", "start", "align"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
};

DOMPurify.addHook("afterSanitizeAttributes", (element) => {
  if (element.tagName !== "A") return;
  element.setAttribute("target", "_blank");
  element.setAttribute("rel", "noopener noreferrer");
});

/** A text in Markdown. */
export const Markdown = memo(function Markdown({ text }: { text: string }) {
  const html = useMemo(
    () => DOMPurify.sanitize(markdown.parse(text, { async: false }), { ...ALLOWED, RETURN_TRUSTED_TYPE: true }),
    [text],
  );
  // biome-ignore lint/security/noDangerouslySetInnerHtml: it has been sanitized
  return <div className="markdown" dangerouslySetInnerHTML={{ __html: html }} />;
});

function escapeHtml(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
}
