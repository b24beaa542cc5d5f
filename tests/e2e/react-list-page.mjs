// A page for the browser, bundled by sdk-browser.test.ts; its address says where the server is.
import { createElement, StrictMode, useEffect, useState, useSyncExternalStore } from "react";
import { createRoot } from "react-dom/client";
import { createClient } from "paperdb";

const db = createClient({
  baseUrl: location.origin,
  realtimeUrl: location.hash.slice(1),
  getToken: async ({ collections, topics }) => {
    const response = await fetch("/token", { method: "POST", body: JSON.stringify({ collections, topics }) });
    return response.text();
  },
});
const newest = db.realtime.list("messages", { compare: (left, right) => right.id - left.id });

window.mounts = 0;

function ByEffect() {
  const [messages, setMessages] = useState([]);
  useEffect(() => {
    window.mounts += 1;
    const compare = (left, right) => left.id - right.id;
    return db.realtime.list("messages", { compare, onChange: setMessages }).close;
  }, []);
  return createElement("p", { id: "effect" }, messages.map(({ body }) => body).join(", "));
}

function ByStore() {
  const messages = useSyncExternalStore(newest.subscribe, () => newest.current);
  const status = useSyncExternalStore(newest.subscribe, () => newest.status);
  return createElement("p", { id: "store" }, `${status}: ${messages.map(({ body }) => body).join(", ")}`);
}

function Page() {
  const [isShown, setIsShown] = useState(true);
  window.hide = () => setIsShown(false);
  return isShown ? [createElement(ByEffect, { key: 1 }), createElement(ByStore, { key: 2 })] : "nothing";
}

createRoot(document.querySelector("#root")).render(createElement(StrictMode, undefined, createElement(Page)));
