package sync

import "time"

// Limits of what one peer may make this device hold or do. They are local: a
// peer need not know them, apart from those of messages.
const (
	maxHeads         = 1024      // credential heads in a message
	maxVectorFeeds   = 512       // feeds in one message of positions
	maxKnownFeeds    = 1 << 16   // feeds a peer may tell of in one space
	maxWants         = 64        // feeds served to a peer at a time
	maxPulls         = 16        // feeds fetched from a peer at a time
	entriesSize      = 256 << 10 // bytes of entries in one message, unless one entry is larger
	entriesCount     = 2048      // entries in one message
	pushSize         = 16 << 10  // bytes of fresh entries that are sent without being asked for
	maxBacklog       = 16 << 20  // bytes received and not yet ingested
	credentialsSize  = 256 << 10 // bytes of credentials in one message, unless one is larger
	probationBytes   = 256 << 10 // bytes of credentials an unknown peer may send to prove itself
	credentialBudget = 64 << 20  // bytes of credentials a session may send in an hour
	inRate           = 32 << 20  // bytes a second read of a peer's bulk lane
	inBurst          = 64 << 20
	pushRate         = 2000 // entries a minute that a peer may push; more are fetched
	maxReason        = 256  // bytes of the reason in a Bye
)

// Times of a session.
const (
	helloTimeout     = 10 * time.Second
	probationTimeout = 10 * time.Second
	pingEvery        = 2 * time.Second
	silence          = 7 * time.Second // without any message: the peer is gone
	pullTimeout      = 10 * time.Second
	retryStalled     = 30 * time.Second // with a peer that did not deliver what it told of
	retryIngest      = time.Second      // after an error of our own
	ackSpacing       = 10 * time.Millisecond
	seenEvery        = 30 * time.Second
)
