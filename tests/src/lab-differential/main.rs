//! What runs beside the kernel in the differential test: reads a batch, puts it through the rules,
//! prints the answer. It makes its interfaces in the namespace that it is started in.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::process::ExitCode;

use tests::differential::batch::Cases;
use tests::differential::rig::Rig;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path] = arguments.as_slice() else {
        return Err(String::from("usage: lab-differential BATCH"));
    };
    let file = File::open(path).map_err(|e| format!("can't read `{path}`: {e}"))?;
    let cases = Cases::new(BufReader::new(file)).map_err(|e| format!("`{path}`: {e}"))?;
    let mut rig = Rig::new()?;
    let mut out = io::stdout().lock();
    let mut say = |text: String| out.write_all(text.as_bytes()).map_err(|e| e.to_string());
    say(format!("plug {}\n", rig.plug()))?;
    for case in cases {
        let case = case.map_err(|e| format!("`{path}`: {e}"))?;
        say(rig.run(&case).to_string())?;
    }
    say(String::from("end\n"))
}
