// A path of the page's own, such as /history, is answered with the page. A file's name has a dot, and below /api and /ws are the
// APIs: what their behaviors leave out there is no page.
function handler(event) {
  const request = event.request;
  const path = request.uri.split("/");
  if (!path[path.length - 1].includes(".") && path[1] !== "api" && path[1] !== "ws") {
    request.uri = "/index.html";
  }
  return request;
}
