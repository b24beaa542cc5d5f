// A page for the browser, bundled by sdk-browser.test.ts; its address says where the server is.
import { createElement, StrictMode, useEffect, useState } from "react";
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

window.mounts = 0;

function Messages() {
  const [bodies, setBodies] = useState([]);
  const [status, setStatus] = useState("none");
  useEffect(() => {
    window.mounts += 1;
    return db.realtime.subscribe("messages", ({ data }) => setBodies((all) => [...all, data.body]), {
      onStatus: setStatus,
    });
  }, []);
  return createElement("p", { id: status }, bodies.join(", "));
}

createRoot(document.querySelector("#root")).render(
  createElement(StrictMode, undefined, createElement(Messages)),
);
