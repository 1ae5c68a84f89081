package main

// bareRound are the bare operations, measured in one round.
type bareRound struct {
	flavours map[*flavour]floorTimes
	openssl  floorTimes // nil where there is no openssl
}

// signature is what one RSA signature costs: medians over the rounds.
type signature struct {
	Operation string    `json:"operation"`
	By        string    `json:"by"`
	Micros    float64   `json:"cpu_us"`
	ToOpenSSL float64   `json:"to_openssl"` // the median of the ratios within the rounds; 0 without openssl
	Rounds    []float64 `json:"rounds_us"`
}

// arithmetic sets what signatures cost in each flavour beside openssl's.
func arithmetic(flavours []*flavour, rounds []bareRound) []signature {
	var all []signature
	for _, bits := range []string{"1024", "2048"} {
		add := func(by string, times func(bareRound) floorTimes) {
			s := signature{Operation: "RSA-" + bits + " sign", By: by}
			var ratios []float64
			for _, r := range rounds {
				micros := times(r)["sign"+bits]
				if micros == 0 {
					return
				}
				s.Rounds = append(s.Rounds, micros)
				ratios = append(ratios, ratio(micros, r.openssl["sign"+bits]))
			}
			s.Micros, s.ToOpenSSL = middle(s.Rounds), middle(ratios)
			all = append(all, s)
		}
		add("openssl speed", func(r bareRound) floorTimes { return r.openssl })
		for _, f := range flavours {
			add(f.name, func(r bareRound) floorTimes { return r.flavours[f] })
		}
	}
	return all
}
