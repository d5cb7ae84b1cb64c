"use strict";
const players = [...document.querySelectorAll("audio")];
for (const player of players) {
  const picture = player.parentElement.querySelector(".picture");
  const line = picture.querySelector("i");
  player.addEventListener("play", () => {
    for (const other of players) if (other !== player) other.pause();
  });
  player.addEventListener("timeupdate", () => {
    line.style.opacity = player.currentTime > 0 && !player.ended ? 0.9 : 0;
    line.style.left = `${(100 * player.currentTime) / (player.duration || 1)}%`;
  });
  picture.addEventListener("click", (event) => {
    const start = event.offsetX / picture.clientWidth;
    const seek = () => { player.currentTime = start * player.duration; };
    if (player.readyState) seek();
    else player.addEventListener("loadedmetadata", seek, { once: true });
    player.play();
  });
}
const buttons = [...document.querySelectorAll(".filters button")];
for (const button of buttons) {
  button.addEventListener("click", () => {
    for (const each of buttons) each.setAttribute("aria-pressed", String(each === button));
    for (const claim of document.querySelectorAll(".claim")) {
      claim.hidden = button.dataset.show !== "all" && claim.dataset.verdict !== button.dataset.show;
    }
  });
}
