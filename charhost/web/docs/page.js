// The page is complete without this: it only adds a field that hides what does not match.
const label = document.getElementById("search");
label.hidden = false;
label.querySelector("input").addEventListener("input", (event) => {
  const wanted = event.target.value.trim().toLowerCase();
  for (const part of document.querySelectorAll("main section, nav li")) {
    part.hidden = !part.textContent.toLowerCase().includes(wanted);
  }
});
