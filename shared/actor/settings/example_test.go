package settings_test

import (
	"fmt"

	"github.com/atrium-iot/atrium/shared/actor/settings"
)

func ExampleParse() {
	s, err := settings.Parse("actors.yaml", []byte(`
dispatchers:
  device-dispatcher: {throughput: 100, mailbox_size: 1000, max_concurrency: 4, weight: 3}
types:
  device:
    dispatcher: device-dispatcher
    mailbox: {size: 500, overflow: drop_oldest}
    passivation: {idle: 10m, limit: 10000}
    supervision:
      on_failure: restart
      max_restarts: 10
      within: 5m
      exceeded: stop
      backoff: {min: 100ms, max: 30s, jitter: 0.2}
sites: {actors: 20000, messages: 200000}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	device := s.Types["device"]
	fmt.Println(device.Dispatcher, device.Mailbox.Size, device.Passivation.Idle, device.Supervision.OnFailure)

	_, err = settings.Parse("actors.yaml", []byte("types:\n  device:\n    mailbox: {size: 500, overflow: drop}\n"))
	fmt.Println(err)

	// Output:
	// device-dispatcher 500 10m0s restart
	// actors.yaml:3:36: key "overflow": want one of ["refuse" "block" "drop_oldest" "drop_newest"], got "drop"
}
