//! What an include gives its partial by name, where the partial's text stands in the place of the include.

use handlebars::{
    BlockContext, BlockParams, Context, Handlebars, Helper, HelperDef, HelperResult, Output,
    RenderContext, Renderable as _,
};

/// The name under which [`super::super::flat`] writes it. No author can: a name does not begin with `@`.
pub(crate) const NAME: &str = "@bind";

/// A block in which names stand for the values given to it; everything else is as around it.
pub(crate) struct Bind;

impl HelperDef for Bind {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        registry: &'reg Handlebars<'reg>,
        context: &'rc Context,
        rc: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let Some(inner) = helper.template() else {
            return Ok(());
        };
        let mut block = BlockContext::new();
        if let Some(around) = rc.block() {
            block.base_path_mut().clone_from(around.base_path());
            if let Some(value) = around.base_value() {
                block.set_base_value(value.clone());
            }
            block
                .local_variables_mut()
                .clone_from(around.local_variables());
        }
        let mut params = BlockParams::new();
        for (name, value) in helper.hash() {
            params.add_value(name, value.value().clone())?;
        }
        block.set_block_params(params);
        rc.push_block(block);
        let result = inner.render(registry, context, rc, out);
        rc.pop_block();
        result
    }
}
