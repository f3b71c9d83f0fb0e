//! The few calls of ONNX Runtime's C interface that the comparison needs, found in a shared library at run time.
//!
//! The interface is a table of function pointers whose order is fixed for ever: "the ordering of these fields MUST
//! not change after that version has shipped" (`onnxruntime_c_api.cc`). The places used here are all of version 1.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};

type Status = *mut c_void;
type Handle = *mut c_void;

#[repr(C)]
struct ApiBase {
    get_api: unsafe extern "C" fn(u32) -> *const *const c_void,
    get_version: unsafe extern "C" fn() -> *const c_char,
}

/// Places in the table.
mod place {
    pub const ERROR_MESSAGE: usize = 2;
    pub const CREATE_ENV: usize = 3;
    pub const CREATE_SESSION_FROM_ARRAY: usize = 8;
    pub const RUN: usize = 9;
    pub const CREATE_SESSION_OPTIONS: usize = 10;
    pub const SET_INTRA_THREADS: usize = 24;
    pub const SET_INTER_THREADS: usize = 25;
    pub const CREATE_TENSOR_WITH_DATA: usize = 49;
    pub const TENSOR_DATA: usize = 51;
    pub const CREATE_CPU_MEMORY_INFO: usize = 69;
    pub const RELEASE_SESSION: usize = 95;
    pub const RELEASE_VALUE: usize = 96;
}

/// Where the library is: `ORT_DYLIB`, or what the `onnxruntime` package of `PYTHON` (default `python3`) holds.
pub fn find() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("ORT_DYLIB") {
        return Ok(path.into());
    }
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let script = "import glob,os,onnxruntime as o;\
        print(glob.glob(os.path.join(os.path.dirname(o.__file__),'capi','libonnxruntime.so*'))[0])";
    let found = std::process::Command::new(&python)
        .args(["-c", script])
        .output();
    match found {
        Ok(out) if out.status.success() => Ok(String::from_utf8_lossy(&out.stdout).trim().into()),
        _ => Err(format!(
            "ORT_DYLIB is not set and {python} has no onnxruntime package"
        )),
    }
}

/// The loaded library.
pub struct Runtime {
    api: *const *const c_void,
    env: Handle,
    memory: Handle,
    pub version: String,
    // Last, so that it is unloaded last.
    _library: libloading::Library,
}

/// One loaded model, on one thread.
pub struct Session<'a> {
    runtime: &'a Runtime,
    session: Handle,
    input: CString,
    outputs: Vec<CString>,
}

/// The function at a place of the table, as a function of this type.
macro_rules! call {
    ($runtime:expr, $place:expr, fn($($arg:ty),* $(,)?) $(-> $ret:ty)?) => {{
        let pointer = *$runtime.api.add($place);
        std::mem::transmute::<*const c_void, unsafe extern "C" fn($($arg),*) $(-> $ret)?>(pointer)
    }};
}

impl Runtime {
    pub fn load(path: &Path) -> Result<Runtime, String> {
        // SAFETY: the library is ONNX Runtime, by the caller's word; it exports OrtGetApiBase with this signature,
        // and the table it hands out lives as long as the library.
        unsafe {
            let library = libloading::Library::new(path).map_err(|e| e.to_string())?;
            let base: libloading::Symbol<unsafe extern "C" fn() -> *const ApiBase> =
                library.get(b"OrtGetApiBase\0").map_err(|e| e.to_string())?;
            let base = base();
            let version = CStr::from_ptr(((*base).get_version)())
                .to_string_lossy()
                .into_owned();
            let api = ((*base).get_api)(1);
            if api.is_null() {
                return Err("version 1 of the interface is not offered".into());
            }
            let (env, memory) = (null_mut(), null_mut());
            let mut runtime = Runtime {
                api,
                env,
                memory,
                version,
                _library: library,
            };
            let create = call!(
                runtime,
                place::CREATE_ENV,
                fn(c_int, *const c_char, *mut Handle) -> Status
            );
            let mut env = null_mut();
            // 3: log errors only.
            runtime.check(create(3, c"bench".as_ptr(), &mut env))?;
            runtime.env = env;
            let create = call!(
                runtime,
                place::CREATE_CPU_MEMORY_INFO,
                fn(c_int, c_int, *mut Handle) -> Status
            );
            let mut memory = null_mut();
            // An arena allocator's default memory.
            runtime.check(create(1, 0, &mut memory))?;
            runtime.memory = memory;
            Ok(runtime)
        }
    }

    fn check(&self, status: Status) -> Result<(), String> {
        if status.is_null() {
            return Ok(());
        }
        // SAFETY: a status that is not null carries a message that lives as long as it does; it is leaked.
        unsafe {
            let message = call!(self, place::ERROR_MESSAGE, fn(Status) -> *const c_char);
            Err(CStr::from_ptr(message(status))
                .to_string_lossy()
                .into_owned())
        }
    }

    /// A session on one thread.
    pub fn session(
        &self,
        model: &[u8],
        input: &str,
        outputs: &[String],
    ) -> Result<Session<'_>, String> {
        // SAFETY: every function has the signature of its place, and every pointer lives through its call.
        unsafe {
            let create = call!(
                self,
                place::CREATE_SESSION_OPTIONS,
                fn(*mut Handle) -> Status
            );
            let mut options = null_mut();
            self.check(create(&mut options))?;
            let threads = call!(self, place::SET_INTRA_THREADS, fn(Handle, c_int) -> Status);
            self.check(threads(options, 1))?;
            let threads = call!(self, place::SET_INTER_THREADS, fn(Handle, c_int) -> Status);
            self.check(threads(options, 1))?;
            let create = call!(
                self,
                place::CREATE_SESSION_FROM_ARRAY,
                fn(Handle, *const c_void, usize, Handle, *mut Handle) -> Status
            );
            let mut session = null_mut();
            self.check(create(
                self.env,
                model.as_ptr().cast(),
                model.len(),
                options,
                &mut session,
            ))?;
            let c = |s: &str| CString::new(s).map_err(|e| e.to_string());
            let outputs = outputs.iter().map(|o| c(o)).collect::<Result<_, _>>()?;
            Ok(Session {
                runtime: self,
                session,
                input: c(input)?,
                outputs,
            })
        }
    }
}

impl Session<'_> {
    /// Scores row-major rows; copies the last output, of `columns` floats a row, into `out`. The cheapest way the
    /// interface has with fresh inputs: a tensor around the caller's memory, and outputs of the runtime's own.
    pub fn run(
        &self,
        rows: usize,
        data: &[f32],
        columns: usize,
        out: &mut Vec<f32>,
    ) -> Result<(), String> {
        let shape = [rows as i64, (data.len() / rows) as i64];
        let runtime = self.runtime;
        // SAFETY: as above; the input tensor borrows `data`, which outlives it, and the runtime does not write to an
        // input. The last output has `rows` × `columns` floats, by the caller's word.
        unsafe {
            let create = call!(
                runtime,
                place::CREATE_TENSOR_WITH_DATA,
                fn(Handle, *mut c_void, usize, *const i64, usize, c_int, *mut Handle) -> Status
            );
            let mut input = null_mut();
            let bytes = size_of_val(data);
            // 1: float32.
            let status = create(
                runtime.memory,
                data.as_ptr() as *mut c_void,
                bytes,
                shape.as_ptr(),
                2,
                1,
                &mut input,
            );
            runtime.check(status)?;
            let run = call!(
                runtime,
                place::RUN,
                fn(
                    Handle,
                    *const c_void,
                    *const *const c_char,
                    *const Handle,
                    usize,
                    *const *const c_char,
                    usize,
                    *mut Handle,
                ) -> Status
            );
            let names = [self.input.as_ptr()];
            let mut output_names = [null(); 4];
            let mut outputs = [null_mut(); 4];
            let n = self.outputs.len();
            output_names
                .iter_mut()
                .zip(&self.outputs)
                .for_each(|(to, from)| *to = from.as_ptr());
            let status = run(
                self.session,
                null(),
                names.as_ptr(),
                &input,
                1,
                output_names.as_ptr(),
                n,
                outputs.as_mut_ptr(),
            );
            runtime.check(status)?;
            let data = call!(
                runtime,
                place::TENSOR_DATA,
                fn(Handle, *mut *mut c_void) -> Status
            );
            let mut scores = null_mut();
            runtime.check(data(outputs[n - 1], &mut scores))?;
            out.clear();
            out.extend_from_slice(std::slice::from_raw_parts(
                scores.cast::<f32>(),
                rows * columns,
            ));
            let release = call!(runtime, place::RELEASE_VALUE, fn(Handle));
            release(input);
            outputs[..n].iter().for_each(|&o| release(o));
            Ok(())
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // SAFETY: the session is released once, while its library is loaded.
        unsafe { call!(self.runtime, place::RELEASE_SESSION, fn(Handle))(self.session) }
    }
}
