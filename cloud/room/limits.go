package room

// Limits of a site's rooms (I5).
const (
	// MaxRooms bounds the rooms of a site: a picture of the site has one line
	// for each.
	MaxRooms = 1024
	// MaxDevices bounds the devices that the rooms of a site name together: as
	// many as a site may have twins. A room has no more members than that.
	MaxDevices = 16_384
	// MaxRoomsOfDevice bounds the rooms that a device is a member of, those
	// above included: two places of the deepest name. Each of them is told each
	// change of the device.
	MaxRoomsOfDevice = 16

	// maxTitle bounds a title in bytes: a line of a terminal.
	maxTitle = 120
)
