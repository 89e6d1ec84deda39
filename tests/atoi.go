// Prints what kubelet reads in each line of the input: the line is the content in hexadecimal, the answer an integer or "no".
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		content, err := hex.DecodeString(lines.Text())
		if err != nil {
			panic(err)
		}
		value, err := strconv.Atoi(strings.Trim(string(content), " \n"))
		if err != nil {
			fmt.Println("no")
		} else {
			fmt.Println(value)
		}
	}
}
