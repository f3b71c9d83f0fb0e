//! The seam between an operator of this crate and tract.
//!
//! An operator implements [`Kernel`]: what comes out, given what goes in, and the computation. [`MlOp`] carries any
//! kernel through tract's inference (`Expansion`) and through its typed models (`TypedOp`).

use std::fmt::Debug;

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

/// The type and shape of one tensor, at load time; dimensions may be symbols.
pub(crate) type Typed = (DatumType, TVec<TDim>);

/// One parsed operator: its constants, and how it computes.
pub(crate) trait Kernel: Debug + Send + Sync + 'static {
    /// The operator's name in the `ai.onnx.ml` domain.
    fn name(&self) -> &'static str;

    /// How many outputs it has.
    fn outputs(&self) -> usize {
        1
    }

    /// Types and shapes of the outputs, one each; an error in words where the inputs do not fit the constants.
    fn infer(&self, inputs: &[Typed]) -> TractResult<TVec<Typed>>;

    /// A kernel made for these input types, where the operator's constants depend on them (a tree's thresholds are
    /// float or double with its input).
    fn specialise(&self, _inputs: &[Typed]) -> TractResult<Option<Arc<dyn Kernel>>> {
        Ok(None)
    }

    /// Computes every output. Each row's result depends on that row only.
    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>>;
}

/// A [`Kernel`] as tract sees it.
#[derive(Clone, Debug)]
pub(crate) struct MlOp(Arc<dyn Kernel>);

impl MlOp {
    pub fn new(kernel: impl Kernel) -> MlOp {
        MlOp(Arc::new(kernel))
    }
}

// Two operators are the same only where they are the same object: their constants may be megabytes of trees.
impl PartialEq for MlOp {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
impl Eq for MlOp {}

impl Op for MlOp {
    fn name(&self) -> StaticName {
        self.0.name().into()
    }

    fn validation(&self) -> Validation {
        Validation::Rounding
    }

    op_as_typed_op!();
}

impl EvalOp for MlOp {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let inputs: TVec<&Tensor> = inputs.iter().map(|i| &**i).collect();
        let outputs = self
            .0
            .run(&inputs)
            .with_context(|| format!("running {}", self.0.name()))?;
        Ok(outputs.into_iter().map(|t| t.into_tvalue()).collect())
    }
}

impl TypedOp for MlOp {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let inputs: Vec<Typed> = inputs
            .iter()
            .map(|f| (f.datum_type, f.shape.to_tvec()))
            .collect();
        let outputs = self
            .0
            .infer(&inputs)
            .with_context(|| format!("typing {}", self.0.name()))?;
        Ok(outputs
            .into_iter()
            .map(|(dt, shape)| dt.fact(shape))
            .collect())
    }

    as_op!();
}

impl Expansion for MlOp {
    fn name(&self) -> StaticName {
        self.0.name().into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(self.0.outputs())
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_output_arity(outputs, self.0.outputs())?;
        s.given_all(inputs.iter().map(|i| &i.datum_type), move |s, types| {
            s.given_all(inputs.iter().map(|i| &i.shape), move |s, shapes| {
                let known: Vec<Typed> = types.iter().copied().zip(shapes).collect();
                let inferred = self
                    .0
                    .infer(&known)
                    .with_context(|| format!("typing {}", self.0.name()))?;
                for (output, (dt, shape)) in outputs.iter().zip(inferred) {
                    s.equals(&output.datum_type, dt)?;
                    s.equals(&output.shape, shape)?;
                }
                Ok(())
            })
        })
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let facts = inputs
            .iter()
            .map(|i| model.outlet_fact(*i))
            .collect::<TractResult<Vec<_>>>()?;
        let known: Vec<Typed> = facts
            .iter()
            .map(|f| (f.datum_type, f.shape.to_tvec()))
            .collect();
        let op = match self.0.specialise(&known)? {
            Some(kernel) => MlOp(kernel),
            None => self.clone(),
        };
        model.wire_node(prefix, op, inputs)
    }
}

/// What tract's register of operators wants from a builder.
pub(crate) type Built = TractResult<(Box<dyn InferenceOp>, Vec<String>)>;

/// Wraps a parsed kernel, after checking that the node names as many inputs and outputs as the operator has.
/// A trailing output may be left unnamed; tract then expects the operator to have fewer, so it is refused in words.
pub(crate) fn built(node: &NodeProto, inputs: usize, kernel: impl Kernel) -> Built {
    ensure!(
        node.input.len() == inputs && node.input.iter().all(|i| !i.is_empty()),
        "node {:?}: {} takes {inputs} input(s), the model gives {}",
        node.name,
        node.op_type,
        node.input.len()
    );
    let named = node.output.iter().filter(|o| !o.is_empty()).count();
    ensure!(
        named == kernel.outputs() && node.output.len() == named,
        "node {:?}: {} has {} output(s), the model names {named} of {}",
        node.name,
        node.op_type,
        kernel.outputs(),
        node.output.len()
    );
    Ok((expand(MlOp::new(kernel)), vec![]))
}

/// Checks that there are `N` inputs and hands them over as an array.
pub(crate) fn exactly<const N: usize, T: Clone + Debug>(inputs: &[T]) -> TractResult<[T; N]> {
    match <[T; N]>::try_from(inputs.to_vec()) {
        Ok(array) => Ok(array),
        Err(got) => bail!("expected {N} input(s), got {}", got.len()),
    }
}
