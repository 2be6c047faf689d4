// What a page can try against a server that is not its own. Each comes to what the page learned of it, as text.
const said = error => `failed: ${error.message ?? error.type}`;
const posted = (url, body, more = {}) =>
  fetch(url, {method: "POST", body, headers: {"content-type": "application/json"}, ...more}).then(answer => answer.text());
const loaded = element => new Promise(done => {
  for (const kind of ["load", "error"]) element.addEventListener(kind, () => done(kind), {once: true});
  document.body.append(element);
});
const made = (tag, attributes) => Object.assign(document.createElement(tag), attributes);

async function submitted(url, body, enctype) {
  const frame = made("iframe", {name: `frame${Math.random()}`});
  document.body.append(frame);
  const form = made("form", {method: "POST", action: url, enctype, target: frame.name});
  // A form in plain text sends NAME=VALUE, which this makes an object of.
  const field = made("input", {name: body.replace(/(\}\]?)$/, ',"ignored":"'), value: `"${body.match(/(\}\]?)$/)[0]}`});
  form.append(field);
  document.body.append(form);
  const shown = new Promise(done => frame.addEventListener("load", done, {once: true}));
  form.submit();
  await shown;
  return frame.contentDocument === null ? "nothing" : frame.contentDocument.body.innerText;
}

function fromFrame(url, body, credentials, attributes) {
  const script = `<script>fetch(${JSON.stringify(url)}, {method: "POST", body: ${JSON.stringify(body)},
    headers: {"content-type": "application/json"}, credentials: "${credentials}"}).then(answer => answer.text())
    .catch(error => "failed: " + error.message).then(told => parent.postMessage(told, "*"))<` + `/script>`;
  return new Promise(done => {
    addEventListener("message", message => done(message.data), {once: true});
    document.body.append(made("iframe", attributes(script)));
  });
}

const writes = {
  "fetch": (url, body, credentials) => posted(url, body, {credentials}),
  "fetch in plain text": (url, body, credentials) => posted(url, body, {credentials, headers: {"content-type": "text/plain"}}),
  "fetch unread": (url, body, credentials) => posted(url, body, {mode: "no-cors", credentials}),
  "fetch that outlives its page": (url, body, credentials) => posted(url, body, {keepalive: true, credentials}),
  "request of the old kind": (url, body, credentials) => new Promise(done => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.withCredentials = credentials === "include";
    request.setRequestHeader("content-type", "application/json");
    request.onloadend = () => done(request.responseText || "failed");
    request.send(body);
  }),
  "beacon": async (url, body) => String(navigator.sendBeacon(url, body)),
  "beacon of JSON": async (url, body) => String(navigator.sendBeacon(url, new Blob([body], {type: "application/json"}))),
  "form in plain text": (url, body) => submitted(url, body, "text/plain"),
  "form": (url, body) => submitted(url, body, "application/x-www-form-urlencoded"),
  "form with parts": (url, body) => submitted(url, body, "multipart/form-data"),
  "worker": (url, body, credentials) => new Promise(done => {
    const script = `onmessage = async ({data: [url, body, credentials]}) => postMessage(await fetch(url, {method: "POST", body,
      credentials, headers: {"content-type": "application/json"}}).then(answer => answer.text())
      .catch(error => "failed: " + error.message))`;
    const worker = new Worker(URL.createObjectURL(new Blob([script])));
    worker.onmessage = ({data}) => done(data);
    worker.postMessage([url, body, credentials]);
  }),
  "frame without an origin": (url, body, credentials) =>
    fromFrame(url, body, credentials, script => ({sandbox: "allow-scripts", srcdoc: script})),
  "frame of data": (url, body, credentials) =>
    fromFrame(url, body, credentials, script => ({src: `data:text/html,${encodeURIComponent(script)}`})),
};

const reads = {
  "fetch": url => fetch(url).then(answer => answer.text()),
  "fetch with cookies": url => fetch(url, {credentials: "include"}).then(answer => answer.text()),
  "fetch unread": async url => {
    const answer = await fetch(url, {mode: "no-cors", credentials: "include"});
    return `${answer.type} ${answer.status} ${await answer.text()}`;
  },
  "script": async url => `${await loaded(made("script", {src: url}))}`,
  "module": async url => `${await loaded(made("script", {src: url, type: "module"}))}`,
  "style": async url => `${await loaded(made("link", {rel: "stylesheet", href: url}))} ${document.styleSheets.length}`,
  "image": async url => `${await loaded(made("img", {src: url}))}`,
  "film": async url => {
    const film = made("video", {src: url});
    return new Promise(done => { film.onerror = () => done(film.error.message); film.onloadeddata = () => done("loaded"); });
  },
  "frame": async url => {
    const frame = made("iframe", {src: url});
    await loaded(frame);
    return `${frame.contentDocument?.body.innerText ?? "nothing"} ${frame.contentWindow.length}`;
  },
  "events": url => new Promise(done => {
    const source = new EventSource(url, {withCredentials: true});
    source.onmessage = event => done(event.data);
    source.onerror = () => { source.close(); done("failed"); };
  }),
  "socket": url => new Promise(done => {
    const socket = new WebSocket(url.replace(/^http/, "ws"), "prefect");
    socket.onopen = () => done("open");
    socket.onclose = event => done(`closed ${event.code}`);
  }),
};

const attempt = (attack, ...target) => attack(...target).catch(said);
