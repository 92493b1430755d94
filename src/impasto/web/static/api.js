/** Requests to the server. */

/** An answer that says no; its message is one line for the user. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** The answer to a request, as JSON. */
export async function api(method, path, body) {
  const options = { method, headers: {} };
  if (body !== undefined) {
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new ApiError("the server does not answer; check that it is running", 0);
  }
  return answer(response.status, await response.text());
}

function answer(status, text) {
  let content = null;
  try {
    content = text ? JSON.parse(text) : null;
  } catch {
    content = null;
  }
  if (status === 401) location.assign("/login");
  if (status < 200 || status >= 300) throw new ApiError(content?.error ?? `the server answers with status ${status}`, status);
  return content;
}

/** Upload an image; `onProgress` gets the share that is sent, 0 to 1. */
export function upload(blob, name, onProgress = () => {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/files?name=${encodeURIComponent(name)}`);
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded / Math.max(1, event.total)));
    request.addEventListener("load", () => {
      try {
        resolve(answer(request.status, request.responseText));
      } catch (error) {
        reject(error);
      }
    });
    request.addEventListener("error", () => reject(new ApiError(`${name}: could not be sent; check the connection`, 0)));
    request.send(blob);
  });
}
