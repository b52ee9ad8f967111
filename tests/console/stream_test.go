package console

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	assets "github.com/atrium-iot/atrium/cloud/console"
)

// scripted serves the page and, for each stream that it opens, the next script.
// A stream stays open until end, and goes on with what more brings.
func scripted(t *testing.T, streams ...[]string) (base string, more chan string, end chan struct{}) {
	t.Helper()
	mux := http.NewServeMux()
	if err := assets.Register(mux); err != nil {
		t.Fatal(err)
	}
	next := make(chan []string, len(streams))
	for _, s := range streams {
		next <- s
	}
	more, end = make(chan string), make(chan struct{})
	mux.HandleFunc("GET /v1/stream", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		tell := func(event string) {
			fmt.Fprintf(w, "retry: 50\ndata: %s\n\n", event)
			w.(http.Flusher).Flush()
		}
		select {
		case script := <-next:
			for _, event := range script {
				tell(event)
			}
		case <-r.Context().Done():
		}
		for {
			select {
			case event := <-more:
				tell(event)
			case <-end:
				return
			case <-r.Context().Done():
				return
			}
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL, more, end
}

const (
	site    = `{"site":{"site":"hq","gateways":1,"devices":0,"live":0,"silent":0,"alarms":1}}`
	lobby   = `{"room":{"room":"hq/lobby","devices":[],"aggregates":[]}}`
	kitchen = `{"room":{"room":"hq/kitchen","devices":[],"aggregates":[]}}`
	warm    = `{"alarm":{"pipeline":"hq/warm","device":"hq/t1","stage":%d,"state":"active","severity":"warning","text":"warm","value":27,"threshold":26}}`
	ready   = `{"ready":{}}`
)

func TestWhatIsNoMoreLeavesThePage(t *testing.T) {
	base, more, end := scripted(t,
		[]string{site, lobby, kitchen, fmt.Sprintf(warm, 0), fmt.Sprintf(warm, 1), ready},
		[]string{site, kitchen, ready},
	)
	p := open(t, base)
	p.until("both rooms", `document.querySelectorAll('.room').length === 2`)
	p.until("an alarm of each stage", `document.querySelectorAll('#alarms p').length === 2`)
	more <- `{"gone":{"kind":"alarm","name":"hq/warm","device":"hq/t1"}}`
	p.until("one alarm is gone", `document.querySelectorAll('#alarms p').length === 1`)
	p.clean()
	end <- struct{}{} // the lobby and the other alarm go while nobody listens
	p.until("the lobby is gone", `document.querySelectorAll('.room').length === 1`)
	p.until("no alarm is left", `document.querySelector('#alarms').hidden`)
}

func TestASiteThatIsNewComesToThePage(t *testing.T) {
	base, more, _ := scripted(t, []string{ready})
	p := open(t, base)
	p.until("the page says what to do", `!document.querySelector('#empty').hidden`)
	more <- site
	p.until("the site is there", `document.querySelectorAll('.site').length === 1 && document.querySelector('#empty').hidden`)
	p.clean()
}
