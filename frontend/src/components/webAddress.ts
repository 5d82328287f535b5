/** Return an address that a page may link to, which begins with http: or https:; null for any other one. */
export function webAddress(source: string): string | null {
  if (!URL.canParse(source)) return null;
  const { protocol, href } = new URL(source);
  return protocol === "https:" || protocol === "http:" ? href : null;
}
