//! Numeric input tensors as rows of one type.
//!
//! Most operators take float, double, int32 and int64 alike and compute in float32, as ONNX Runtime does.

use std::borrow::Cow;

use tract_onnx::tract_hir::internal::*;

/// A row-major matrix: `rows` × `columns` values.
#[derive(Debug)]
pub(crate) struct Matrix<'a, T: Clone> {
    pub rows: usize,
    pub columns: usize,
    pub data: Cow<'a, [T]>,
}

/// Rows and columns of a shape as the domain reads them: one dimension is one row, none is a single number;
/// further dimensions after the second are columns too.
pub(crate) fn rows_columns(shape: &[usize]) -> (usize, usize) {
    match shape {
        [] => (1, 1),
        [columns] => (1, *columns),
        [rows, rest @ ..] => (*rows, rest.iter().product()),
    }
}

/// The same reading of a symbolic shape: the number of rows.
pub(crate) fn symbolic_rows(shape: &[TDim]) -> TDim {
    if shape.len() < 2 {
        TDim::from(1)
    } else {
        shape[0].clone()
    }
}

/// The number of columns of a symbolic shape, where it is known at load time.
pub(crate) fn known_columns(shape: &[TDim]) -> Option<usize> {
    match shape {
        [] => Some(1),
        [columns] => columns.to_usize().ok(),
        [_, rest @ ..] => rest.iter().map(|d| d.to_usize().ok()).product(),
    }
}

/// Refuses an input that is not numeric, in words.
pub(crate) fn check_numeric(dt: DatumType) -> TractResult<()> {
    match dt {
        DatumType::F32 | DatumType::F64 | DatumType::I32 | DatumType::I64 | DatumType::TDim => {
            Ok(())
        }
        DatumType::F16 | DatumType::Bool | DatumType::I8 | DatumType::I16 => Ok(()),
        DatumType::U8 | DatumType::U16 | DatumType::U32 | DatumType::U64 => Ok(()),
        other => bail!("expected a numeric input, got {other:?}"),
    }
}

/// The values of `tensor` as `T`, borrowed where they already are.
pub(crate) fn values<T: Datum + Copy>(tensor: &Tensor) -> TractResult<Cow<'_, [T]>> {
    if tensor.datum_type() == T::datum_type() {
        return Ok(Cow::Borrowed(tensor.try_as_plain_ram()?.as_slice::<T>()?));
    }
    check_numeric(tensor.datum_type())?;
    let cast = tensor.cast_to::<T>()?;
    Ok(Cow::Owned(
        cast.try_as_plain_ram()?.as_slice::<T>()?.to_vec(),
    ))
}

/// `tensor` as a matrix of `T`.
pub(crate) fn matrix<T: Datum + Copy>(tensor: &Tensor) -> TractResult<Matrix<'_, T>> {
    let (rows, columns) = rows_columns(tensor.shape());
    Ok(Matrix {
        rows,
        columns,
        data: values::<T>(tensor)?,
    })
}

/// A tensor of `shape` from a vector of any tensor type, text included.
pub(crate) fn tensor<T: Datum>(shape: &[usize], data: Vec<T>) -> TractResult<Tensor> {
    Ok(tract_ndarray::ArrayD::from_shape_vec(shape, data)
        .map_err(|e| format_err!("building an output of shape {shape:?}: {e}"))?
        .into_tensor())
}
