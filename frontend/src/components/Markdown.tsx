import DOMPurify from "dompurify";
import { memo, useEffect, useState } from "react";
import { toHtml } from "./boundedMarkdown";

const ALLOWED = {
  ALLOWED_TAGS: [
    ..."a b blockquote br code del em h1 h2 h3 h4 h5 h6 hr i li ol p pre s strong sub sup".split(" "),
    ..."table tbody td th thead tr ul".split(" "),
  ],
  ALLOWED_ATTR: ["href", "start", "align"],
  ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:)/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
};
/** A text that grows is rendered again after this many times as long as it took the last time. */
const PAUSE = 10;

DOMPurify.addHook("afterSanitizeAttributes", (element) => {
  if (element.tagName !== "A") return;
  element.setAttribute("target", "_blank");
  element.setAttribute("rel", "noopener noreferrer");
});

/** A text in Markdown. While it grows, it is drawn less often the longer that takes. */
export const Markdown = memo(function Markdown({ text }: { text: string }) {
  const [shown, setShown] = useState(() => render(text));
  useEffect(() => {
    if (shown.text === text) return;
    const timer = setTimeout(() => setShown(render(text)), Math.max(0, shown.dueAt - performance.now()));
    return () => clearTimeout(timer);
  }, [text, shown]);
  // biome-ignore lint/security/noDangerouslySetInnerHtml: it has been sanitized
  return <div className="markdown" dangerouslySetInnerHTML={{ __html: shown.html }} />;
});

function render(text: string) {
  const began = performance.now();
  const html = DOMPurify.sanitize(toHtml(text), { ...ALLOWED, RETURN_TRUSTED_TYPE: true });
  const ended = performance.now();
  return { text, html, dueAt: ended + PAUSE * (ended - began) };
}
