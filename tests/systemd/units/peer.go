// A PID 1 that does not answer as it should: takes the place of /run/systemd/private and does one thing wrong.
// usage: peer MODE SOCKET
package main

import (
	"bytes"
	"io"
	"log"
	"net"
	"os"
	"time"
)

const real = "/run/systemd/private"

func main() {
	mode, path := os.Args[1], os.Args[2]
	os.Remove(path)
	listener, err := net.Listen("unix", path)
	if err != nil {
		log.Fatal(err)
	}
	if mode == "full" {
		// Nobody takes a connection, and there are as many as may wait.
		for {
			go net.Dial("unix", path)
			time.Sleep(50 * time.Microsecond)
		}
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go answer(mode, connection)
	}
}

func answer(mode string, client net.Conn) {
	defer client.Close()
	switch mode {
	case "silent":
		io.Copy(io.Discard, client)
	case "end":
	case "rejected":
		io.WriteString(client, "REJECTED KERBEROS_V4\r\n")
		io.Copy(io.Discard, client)
	case "garbage":
		for {
			if _, err := client.Write(bytes.Repeat([]byte("\xff\x00garbage"), 1000)); err != nil {
				return
			}
		}
	case "one-line":
		for {
			if _, err := client.Write(bytes.Repeat([]byte("OK "), 1000)); err != nil {
				return
			}
		}
	default:
		relay(mode, client)
	}
}

// relay has the real one answer, and changes what it is asked or says.
func relay(mode string, client net.Conn) {
	server, err := net.Dial("unix", real)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	go func() {
		buffer := make([]byte, 65536)
		for {
			read, err := client.Read(buffer)
			asked := buffer[:read]
			if mode == "wrong-kind" {
				// Names of the same length, of properties that are a string.
				asked = bytes.ReplaceAll(asked, []byte("ExecStartEx"), []byte("Description"))
				asked = bytes.ReplaceAll(asked, []byte("ExecStart\x00"), []byte("LoadState\x00"))
			}
			if _, failed := server.Write(asked); failed != nil || err != nil {
				return
			}
		}
	}()
	buffer := make([]byte, 65536)
	for sent := 0; ; {
		read, err := server.Read(buffer)
		said := buffer[:read]
		switch {
		case mode == "cut-short" && sent+read > 150:
			// In the midst of a message.
			client.Write(said[:max(0, 150-sent)])
			return
		case mode == "stops" && sent+read > 150:
			client.Write(said[:max(0, 150-sent)])
			time.Sleep(time.Minute)
			return
		case mode == "trickle":
			for at := range said {
				if _, failed := client.Write(said[at : at+1]); failed != nil {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
		case mode == "too-long" && bytes.HasPrefix(said, []byte("l\x02")):
			// A body of 100 MiB is announced, and sent.
			copy(said[4:8], []byte{0, 0, 64, 6})
			client.Write(said)
			for count := 0; count < 1600; count++ {
				if _, failed := client.Write(buffer); failed != nil {
					return
				}
			}
			return
		default:
			if _, failed := client.Write(said); failed != nil {
				return
			}
		}
		if err != nil {
			return
		}
		sent += read
	}
}

func max(one, other int) int {
	if one > other {
		return one
	}
	return other
}
