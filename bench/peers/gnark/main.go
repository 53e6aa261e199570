// Measures gnark's Groth16 on a circuit and witness of ours: main circuit.r1cs witness.wtns.
//
// Each row A*B = C becomes the same row of gnark, with every wire given. The first line on standard output has the time of
// setup; then each line "prove" on standard input is answered with one of a proof, "verify" with one of its check, and
// the end of the input with the peak memory. Times are in seconds.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/backend/groth16"
	"github.com/consensys/gnark/backend/witness"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/logger"
)

const (
	headerSection = 1
	bodySection   = 2
	elementBytes  = 32
)

// section returns the bytes of one section of a file in the binary format of iden3.
func section(data []byte, id uint32) ([]byte, error) {
	if len(data) < 12 {
		return nil, errors.New("the file is too short")
	}
	rest := data[12:]
	for len(rest) >= 12 {
		size := binary.LittleEndian.Uint64(rest[4:])
		if size > uint64(len(rest)-12) {
			return nil, errors.New("a section is cut off")
		}
		body := rest[12 : 12+size]
		if binary.LittleEndian.Uint32(rest) == id {
			return body, nil
		}
		rest = rest[12+size:]
	}
	return nil, fmt.Errorf("section %d is missing", id)
}

func element(data []byte) (out fr.Element) {
	var bytes [elementBytes]byte
	for i := range bytes {
		bytes[i] = data[elementBytes-1-i]
	}
	out.SetBytes(bytes[:])
	return out
}

type circuit struct {
	system  *cs.R1CS
	nPublic int
	nWires  int
}

func readCircuit(path string) (*circuit, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	header, err := section(data, headerSection)
	if err != nil {
		return nil, err
	}
	body, err := section(data, bodySection)
	if err != nil {
		return nil, err
	}
	word := func(at int) int { return int(binary.LittleEndian.Uint32(header[at:])) }
	numbers := 4 + elementBytes
	nWires, nRows := word(numbers), word(numbers+24)
	nPublic := word(numbers+4) + word(numbers+8)

	system := cs.NewR1CS(nRows)
	blueprint := system.AddBlueprint(&constraint.BlueprintGenericR1C{})
	for wire := range nWires {
		if wire <= nPublic {
			system.AddPublicVariable(strconv.Itoa(wire))
		} else {
			system.AddSecretVariable(strconv.Itoa(wire))
		}
	}
	side := func() constraint.LinearExpression {
		count := int(binary.LittleEndian.Uint32(body))
		body = body[4:]
		out := make(constraint.LinearExpression, count)
		for i := range out {
			value := element(body[4:])
			var coefficient constraint.U64
			copy(coefficient[:], value[:])
			out[i] = system.MakeTerm(coefficient, int(binary.LittleEndian.Uint32(body)))
			body = body[4+elementBytes:]
		}
		return out
	}
	for range nRows {
		system.AddR1C(constraint.R1C{L: side(), R: side(), O: side()}, blueprint)
	}
	return &circuit{system, nPublic, nWires}, nil
}

func readWitness(path string, c *circuit) (witness.Witness, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	body, err := section(data, bodySection)
	if err != nil {
		return nil, err
	}
	if len(body) != c.nWires*elementBytes {
		return nil, errors.New("the witness is of another circuit")
	}
	values := make(chan any)
	go func() {
		defer close(values)
		for wire := 1; wire < c.nWires; wire++ {
			values <- element(body[wire*elementBytes:])
		}
	}()
	out, err := witness.New(fr.Modulus())
	if err != nil {
		return nil, err
	}
	return out, out.Fill(c.nPublic, c.nWires-1-c.nPublic, values)
}

func peakMegabytes() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			kilobytes, _ := strconv.Atoi(strings.Fields(rest)[0])
			return kilobytes / 1024
		}
	}
	return 0
}

func run(out io.Writer) error {
	if len(os.Args) != 3 {
		return errors.New("usage: main circuit.r1cs witness.wtns")
	}
	logger.Disable()
	c, err := readCircuit(os.Args[1])
	if err != nil {
		return err
	}
	full, err := readWitness(os.Args[2], c)
	if err != nil {
		return err
	}
	public, err := full.Public()
	if err != nil {
		return err
	}
	answer := json.NewEncoder(out)
	timed := func(name string, work func() error) error {
		start := time.Now()
		if err := work(); err != nil {
			return err
		}
		return answer.Encode(map[string]float64{name: time.Since(start).Seconds()})
	}

	var key groth16.ProvingKey
	var check groth16.VerifyingKey
	var proof groth16.Proof
	if err := timed("setup", func() (err error) {
		key, check, err = groth16.Setup(c.system)
		return err
	}); err != nil {
		return err
	}
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		var err error
		switch commands.Text() {
		case "solve":
			err = timed("solve", func() error {
				_, err := c.system.Solve(full)
				return err
			})
		case "prove":
			err = timed("prove", func() (err error) {
				proof, err = groth16.Prove(c.system, key, full)
				return err
			})
		case "verify":
			err = timed("verify", func() error { return groth16.Verify(proof, check, public) })
		default:
			err = fmt.Errorf("unknown command %q", commands.Text())
		}
		if err != nil {
			return err
		}
	}
	return answer.Encode(map[string]int{"peakMegabytes": peakMegabytes()})
}

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
