package screen

// hints say what the view shows, while there is room for them.
func hints() []string {
	return []string{
		"sampled: read from a chip. committed: safe on the gateway, or in the cloud.",
		"applied: in its twin, the live image of a device, and in its history.",
		"Try c, and c again after a while: the buffer grows, then drains. Or g, n, r.",
		"What dies comes back with all that was committed: v counts it.",
	}
}

// keyWord is a key and what it does, in more and in fewer words.
type keyWord struct{ key, does, short string }

func keyHelp(site string) []keyWord {
	return []keyWord{
		{"tab", "site " + site, "site"},
		{"c", "cut or heal link", "link"},
		{"g", "kill gateway", "gateway"},
		{"n", "kill cloud node", "node"},
		{"b", "break sensor", "sensor"},
		{"r", "switch heater", "heater"},
		{"v", "verify and end", "verify"},
		{"q", "quit", "quit"},
	}
}
