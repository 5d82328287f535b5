import DOMPurify from "dompurify";
import { marked } from "marked";
import { memo, useMemo } from "react";

// What a model writes is not to be trusted: no scripts, styles, forms or ids, and no images, for an image's address could tell
// somebody else what was asked.
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
  const html = useMemo(() => {
    const rendered = marked.parse(text, { async: false, gfm: true, breaks: true });
    return DOMPurify.sanitize(rendered, { ...ALLOWED, RETURN_TRUSTED_TYPE: true });
  }, [text]);
  // biome-ignore lint/security/noDangerouslySetInnerHtml: it has been sanitized
  return <div className="markdown" dangerouslySetInnerHTML={{ __html: html }} />;
});
