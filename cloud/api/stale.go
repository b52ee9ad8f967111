package api

import (
	"net/http"

	"github.com/atrium-iot/atrium/cloud/api/client"
)

// Marked has next's answers say of themselves that they may be old while this
// node is cut off: while old returns an error. It is asked before the answer is
// made: who is cut off later than that answers from a state that was the newest
// when it was asked. Of a stream that holds for its beginning.
func Marked(old func() error, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := old(); err != nil {
			w.Header().Set(client.StaleHeader, err.Error())
		}
		next.ServeHTTP(w, r)
	})
}
