import { expect, test } from "vitest";
import { webAddress } from "./webAddress";

test.each([
  ["https://docs.example/leave?page=2#days", "https://docs.example/leave?page=2#days"],
  ["http://intranet/leave", "http://intranet/leave"],
  ['https://docs.example/"><script>', "https://docs.example/%22%3E%3Cscript%3E"],
  ["HTTPS://docs.example", "https://docs.example/"],
  ["s3://documents/leave.md", null],
  ["javascript:alert(1)", null],
  [" javascript:alert(1)", null],
  ["java\nscript:alert(1)", null],
  ["data:text/html,<script>alert(1)</script>", null],
  ["file:///etc/passwd", null],
  ["leave.md", null],
  ["//docs.example/leave", null],
  ["", null],
])("a page links to what stands on the web alone: %j", (source, address) => {
  expect(webAddress(source)).toBe(address);
});
