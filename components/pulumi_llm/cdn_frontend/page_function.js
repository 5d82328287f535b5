// A path of the page's own, such as /history, is answered with the page. A file's name has a dot.
function handler(event) {
  const request = event.request;
  const name = request.uri.slice(request.uri.lastIndexOf("/") + 1);
  if (!name.includes(".")) {
    request.uri = "/index.html";
  }
  return request;
}
