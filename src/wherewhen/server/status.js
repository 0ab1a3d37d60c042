"use strict";
// The lines of the cameras are replaced every two seconds while the page is visible.
const cameras = document.getElementById("cameras");
const lost = document.getElementById("lost");

async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch("cameras", { signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(answer.status);
    cameras.innerHTML = await answer.text();
    lost.hidden = true;
  } catch {
    lost.hidden = false;
  }
}

async function again() {
  await refresh();
  setTimeout(again, 2000);
}

setTimeout(again, 2000);
document.addEventListener("visibilitychange", refresh);
