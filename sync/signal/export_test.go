package signal

// DecodeRequest lets a fuzz test see every kind of message to a server: it
// returns what encodes to it again.
func DecodeRequest(b []byte) (any, error) {
	r, err := decodeRequest(b)
	switch {
	case err != nil:
		return nil, err
	case r.subscribe != nil:
		return *r.subscribe, nil
	case r.unsubscribe != nil:
		return *r.unsubscribe, nil
	}
	return *r.frame, nil
}

// DecodePlain reads what a box holds.
func DecodePlain(padded []byte) (Message, error) {
	plain, ok := unpad(padded)
	if !ok {
		return Message{}, ErrBox
	}
	return decodeMessage(plain)
}

// EncodePlain is the inverse of DecodePlain.
func EncodePlain(plain []byte) []byte { return pad(plain) }
