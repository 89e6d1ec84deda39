//! What PID 1 sends: any bytes are a message, the beginning of one, or refused; and the words of commands come through, in
//! either byte order, as a writer of its own puts them.
#![no_main]

use kubelet_tunables::systemd::dbus::Message;
use libfuzzer_sys::fuzz_target;

type Command = (
    String,
    Vec<String>,
    Vec<String>,
    u64,
    u64,
    u64,
    u64,
    u32,
    i32,
    i32,
);

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    while let Ok(Some(message)) = Message::take(rest) {
        assert!(message.length <= rest.len());
        // Cut short it is no message yet, and no other one.
        let short = Message::take(&rest[..message.length - 1]);
        assert!(matches!(short, Ok(None)));
        if let Some((_, answer)) = message.reply {
            let _ = answer.read::<Vec<Command>>();
            let _ = answer.read::<Vec<String>>();
            let _ = answer.read::<Vec<(String, bool)>>();
            let _ = answer.read::<(String, String)>();
            let _ = answer.read::<String>();
            let _ = answer.read::<u64>();
        }
        rest = &rest[message.length..];
    }

    let words: Vec<String> = (input.split(|&byte| byte == b'\n'))
        .map(|word| String::from_utf8_lossy(word).replace('\0', ""))
        .collect();
    for big in [false, true] {
        let mut message = reply(&words, big);
        let length = message.len();
        message.extend_from_slice(input);
        let message = Message::take(&message).unwrap().expect("it is whole");
        assert_eq!(message.length, length);
        let (serial, answer) = message.reply.expect("it is an answer");
        assert_eq!(serial, 9);
        let commands: Vec<Command> = answer.read().unwrap().expect("it is a value");
        let (program, argv, flags, ..) = &commands[0];
        assert_eq!((commands.len(), program), (1, &words[0]));
        assert_eq!((argv, flags), (&words, &words));
    }
});

/// Bytes of a message, written by the D-Bus specification.
struct Writer {
    bytes: Vec<u8>,
    big: bool,
}

impl Writer {
    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    fn at(&mut self, place: usize, number: usize) {
        let number = u32::try_from(number).expect("inputs are small");
        let bytes = if self.big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        };
        self.bytes[place..place + 4].copy_from_slice(&bytes);
    }

    /// A number to be set later, or now; its place.
    fn number(&mut self, number: usize) -> usize {
        self.align(4);
        let place = self.bytes.len();
        self.bytes.extend([0; 4]);
        self.at(place, number);
        place
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.bytes.extend(text.bytes().chain([0]));
    }

    fn signature(&mut self, text: &str) {
        self.bytes
            .push(u8::try_from(text.len()).expect("it is short"));
        self.bytes.extend(text.bytes().chain([0]));
    }

    fn texts(&mut self, texts: &[String]) {
        let place = self.number(0);
        let from = self.bytes.len();
        for text in texts {
            self.text(text);
        }
        self.at(place, self.bytes.len() - from);
    }
}

/// The answer to call 9: one command with these words, and with these flags.
fn reply(words: &[String], big: bool) -> Vec<u8> {
    let mut body = Writer {
        bytes: Vec::new(),
        big,
    };
    body.signature("a(sasasttttuii)");
    let place = body.number(0);
    body.align(8);
    let from = body.bytes.len();
    body.text(&words[0]);
    body.texts(words);
    body.texts(words);
    body.align(8);
    body.bytes.extend([0; 4 * 8 + 3 * 4]);
    body.at(place, body.bytes.len() - from);

    let order = if big { b'B' } else { b'l' };
    let mut message = Writer {
        bytes: vec![order, 2, 1, 1],
        big,
    };
    message.number(body.bytes.len());
    message.number(1);
    let place = message.number(0);
    message.bytes.push(5);
    message.signature("u");
    message.number(9);
    message.align(8);
    message.bytes.push(8);
    message.signature("g");
    message.signature("v");
    message.at(place, message.bytes.len() - 16);
    message.align(8);
    message.bytes.extend(body.bytes);
    message.bytes
}
