// Keeps what is shown fresh. Everything works without it: forms are plain forms, and a reload shows what is new.
"use strict";
(() => {
  const EVERY = 10000; // How often the page is asked for anew, in milliseconds.
  const STALE = 45000; // After how long without an answer the page says so.
  let last = Date.now();
  let etag = null;
  let busy = false;

  const cookie = (name) => document.cookie.split("; ").find((pair) => pair.startsWith(name + "="))?.slice(name.length + 1);
  const remember = (name, value) => {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `${name}=${encodeURIComponent(value)}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
  };

  // The server writes times in the reader's zone: it learns of it here, unless somebody has chosen one.
  const learnZone = () => {
    if (cookie("zone_chosen")) return false;
    let zone;
    try { zone = Intl.DateTimeFormat().resolvedOptions().timeZone; } catch { return false; }
    if (!zone || cookie("zone") === encodeURIComponent(zone)) return false;
    remember("zone", zone);
    return true;
  };

  // Somebody writes, or has opened a menu: what they do is not to be taken from under their hands.
  const isInUse = () => {
    const active = document.activeElement;
    if (active && active.closest("main form")) return true;
    const fields = document.querySelectorAll("main input:not([type=hidden]), main select");
    for (const field of fields) {
      if (field.type === "checkbox" ? field.checked !== field.defaultChecked : field.value !== (field.defaultValue ?? field.value)) return true;
    }
    return !document.getSelection().isCollapsed;
  };

  const sayStale = () => {
    const banner = document.getElementById("stale");
    if (banner) banner.classList.toggle("on", Date.now() - last > STALE);
  };

  const show = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const open = new Set([...document.querySelectorAll("main details[open][id]")].map((it) => it.id));
    const at = window.scrollY;
    for (const part of ["main", ".top", ".foot"]) {
      const [old, now] = [document.querySelector(part), fresh.querySelector(part)];
      if (!old || !now) return location.reload();
      old.replaceWith(document.importNode(now, true));
    }
    document.title = fresh.title;
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    window.scrollTo(0, at);
  };

  const refresh = async (force) => {
    if (busy || document.hidden || isInUse()) return;
    busy = true;
    try {
      const headers = etag && !force ? { "If-None-Match": etag } : {};
      const answer = await fetch(location.href, { headers, credentials: "same-origin", cache: "no-store", redirect: "manual" });
      const text = answer.status === 200 ? await answer.text() : null;
      // Somebody may have begun to write meanwhile.
      if (text !== null && !isInUse()) {
        show(text);
        etag = answer.headers.get("ETag");
      }
      if (answer.ok || answer.status === 304) last = Date.now();
      else if (answer.type === "opaqueredirect") location.reload();
    } catch {
      // No answer: the banner says so once it lasts.
    } finally {
      busy = false;
      sayStale();
    }
  };

  if (document.body.dataset.refresh !== undefined) {
    if (learnZone()) refresh(true);
    setInterval(() => { refresh(false); sayStale(); }, EVERY);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(false); });
  }
})();
