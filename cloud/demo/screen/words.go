package screen

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
