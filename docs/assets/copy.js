// The copy button of a screen takes the commands only: neither prompts nor what was printed.
document.addEventListener(
  "click",
  event => {
    const button = event.target.closest("[data-clipboard-target]")
    const screen = button?.closest(".language-console")?.querySelector("code")
    if (!screen) return
    const commands = screen.cloneNode(true)
    commands.querySelectorAll(".gp, .go").forEach(part => part.remove())
    const lines = commands.textContent.split("\n").filter(line => line.trim())
    button.setAttribute("data-clipboard-text", lines.join("\n"))
  },
  { capture: true },
)
