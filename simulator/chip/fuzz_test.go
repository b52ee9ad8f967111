package chip

import (
	"testing"
	"time"

	"github.com/atrium-iot/atrium/simulator/world"
)

// drive feeds a chip transactions cut from data: a time that passes, a count to
// write, a count to read, the bytes. No chip may panic, whatever a host does.
func drive(data []byte, tx func(now time.Time, w, r []byte)) {
	now := time.Unix(1e9, 0)
	var r [300]byte
	for len(data) > 3 {
		now = now.Add(time.Duration(data[0]) * time.Duration(data[0]) * time.Duration(data[0]) * time.Microsecond)
		n := min(int(data[1]&15), len(data)-3)
		tx(now, data[3:3+n], r[:int(data[2])+int(data[1]>>4)])
		data = data[3+n:]
	}
}

// wild is a climate beyond what a chip can measure.
func wild(at time.Time) world.Climate {
	v := float64(at.UnixNano()%4001-2000) / 2
	return world.Climate{Celsius: v, Humidity: v, Pascal: v * 1000}
}

func FuzzTxTMP102(f *testing.F) {
	f.Add([]byte{1, 3, 2, 1, 0xe1, 0xa0, 255, 1, 2, 0})
	f.Fuzz(func(_ *testing.T, data []byte) {
		c := newTMP102(wild, tmpSlowest, time.Unix(1e9, 0))
		drive(data, c.tx)
	})
}

func FuzzTxBME280(f *testing.F) {
	f.Add(uint64(1), []byte{5, 4, 8, 0xf2, 1, 0xf4, 0x27, 255, 1, 8, 0xf7, 9, 2, 1, 0xe0, 0xb6})
	f.Fuzz(func(t *testing.T, part uint64, data []byte) {
		c := newBME280(wild, CalibrationOf(part), Slowest, time.Unix(1e9, 0))
		drive(data, func(now time.Time, w, r []byte) {
			if err := c.tx(now, w, r); err != nil && err != error(NACK) {
				t.Errorf("error %v is not a bus fault", err)
			}
		})
	})
}

func FuzzTxCounter(f *testing.F) {
	f.Add([]byte{0, 1, 0, 1, 9, 1, 4, 2})
	f.Fuzz(func(_ *testing.T, data []byte) {
		drive(data, NewCounter(0).tx)
	})
}

func FuzzTxSHT31(f *testing.F) {
	f.Add([]byte{10, 2, 0, 0x24, 0, 26, 0, 6, 11, 2, 3, 0xf3, 0x2d, 11, 2, 6, 0x2c, 6, 11, 2, 0, 0x30, 0xa2})
	f.Fuzz(func(t *testing.T, data []byte) {
		tx := shtTx(newSHT31(wild, Slowest, time.Unix(1e9, 0)))
		drive(data, func(now time.Time, w, r []byte) {
			if err := tx(now, w, r); err != nil && err != error(NACK) {
				t.Errorf("error %v is not a bus fault", err)
			}
		})
	})
}

func FuzzTxADS1115(f *testing.F) {
	f.Add([]byte{0, 3, 0, 1, 0x44, 0xe3, 255, 1, 2, 0, 3, 3, 2, 1, 0xc5, 0x83})
	f.Fuzz(func(_ *testing.T, data []byte) {
		inputs := func(at time.Time) [4]float64 {
			v := wild(at).Celsius
			return [4]float64{v, -v, v / 1000, 0}
		}
		drive(data, NewADS1115(inputs, Slowest).tx)
	})
}
