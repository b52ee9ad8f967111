package wire

import "github.com/atrium-iot/atrium/shared/id"

// Bind names the devices that hang on the gateway: all of them, each time.
type Bind struct {
	Devices []id.Device
}

const bindItems = 3

// Append writes the message.
func (m *Bind) Append(dst []byte) []byte {
	dst = appendStart(dst, bindItems, KindBind)
	dst = appendArray(dst, len(m.Devices))
	for _, d := range m.Devices {
		dst = appendText(dst, d.String())
	}
	return dst
}

// ParseBind reads what Append wrote.
func ParseBind(b []byte) (Bind, error) {
	var m Bind
	c := open(b, bindItems, KindBind)
	if n := c.array("devices", 0, MaxDevices); n > 0 {
		m.Devices = make([]id.Device, n)
		for i := range m.Devices {
			m.Devices[i] = c.device()
		}
	}
	if err := c.end(); err != nil {
		return Bind{}, err
	}
	return m, nil
}
