import type { Citation } from "../api/types";
import { webAddress } from "./webAddress";

/** The documents that an answer was given, by the numbers with which it cites them. */
export function Sources({ citations, name }: { citations: Citation[]; name: string }) {
  return (
    <section className="sources" aria-label={`${name}: sources`}>
      <h4>Sources</h4>
      <ol>
        {citations.map((citation) => (
          <li key={citation.index} value={citation.index}>
            <Title citation={citation} />
            {citation.excerpt && (
              <p className="note">
                <bdi>{citation.excerpt}</bdi>
              </p>
            )}
          </li>
        ))}
      </ol>
    </section>
  );
}

/** A document's title, which links to it if it stands on the web. Other addresses, such as `s3://`, are shown. */
function Title({ citation }: { citation: Citation }) {
  const { title, source } = citation;
  const address = webAddress(source);
  // Whoever writes a document chooses its title. It is text, and its direction ends with it.
  const named = <bdi>{title || source || "A document without a name"}</bdi>;
  if (address !== null) {
    return (
      <a href={address} target="_blank" rel="noopener noreferrer">
        {named}
      </a>
    );
  }
  return (
    <>
      {named}
      {source && title && (
        <code>
          <bdi>{source}</bdi>
        </code>
      )}
    </>
  );
}
