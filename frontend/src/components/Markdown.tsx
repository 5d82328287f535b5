import DOMPurify from "dompurify";
import { memo, useEffect, useRef, useState } from "react";
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

/**
 * A text in Markdown. While it grows, it is drawn less often the longer that takes, and not while the user has selected a part of it:
 * to draw is to take the selection away. When it has `ended`, it is drawn at once.
 */
export const Markdown = memo(function Markdown({ text, ended }: { text: string; ended: boolean }) {
  const element = useRef<HTMLDivElement>(null);
  const [shown, setShown] = useState(() => render(text));
  const [selected, setSelected] = useState(false);
  useEffect(() => {
    const changed = () => setSelected(element.current !== null && isSelected(element.current));
    document.addEventListener("selectionchange", changed);
    return () => document.removeEventListener("selectionchange", changed);
  }, []);
  useEffect(() => {
    if (shown.text === text || selected) return;
    const pause = ended ? 0 : Math.max(0, shown.dueAt - performance.now());
    const timer = setTimeout(() => setShown(render(text)), pause);
    return () => clearTimeout(timer);
  }, [text, ended, shown, selected]);
  // biome-ignore lint/security/noDangerouslySetInnerHtml: it has been sanitized
  return <div className="markdown" ref={element} dangerouslySetInnerHTML={{ __html: shown.html }} />;
});

/** Whether a part of an element is selected. */
function isSelected(element: Element): boolean {
  const selection = document.getSelection();
  return selection !== null && !selection.isCollapsed && selection.containsNode(element, true);
}

function render(text: string) {
  const began = performance.now();
  const html = DOMPurify.sanitize(toHtml(text), { ...ALLOWED, RETURN_TRUSTED_TYPE: true });
  const ended = performance.now();
  return { text, html, dueAt: ended + PAUSE * (ended - began) };
}
