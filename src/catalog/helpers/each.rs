//! The loop: handlebars' own `each` cannot be stopped, so this one counts every turn and every byte.

use handlebars::{
    BlockContext, BlockParams, Context, Handlebars, Helper, HelperDef, HelperResult, Output,
    RenderContext, RenderError, Renderable as _, Template,
};
use serde_json::Value;

use super::{Scene, blame, fault};
use crate::catalog::budget::Counted;

/// `each`, like handlebars' own, but every turn is counted.
pub(super) struct Each<'s> {
    pub(super) scene: &'s Scene<'s>,
}

impl HelperDef for Each<'_> {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        registry: &'reg Handlebars<'reg>,
        context: &'rc Context,
        rc: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let Some(value) = helper.param(0) else {
            return Err(blame(helper, "loops over a list"));
        };
        let turns: Vec<(String, Value, &Value)> = match value.value() {
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(i, item)| (i.to_string(), i.into(), item))
                .collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(key, field)| (key.clone(), key.clone().into(), field))
                .collect(),
            Value::Null => Vec::new(),
            _ => return Err(blame(helper, "is not a list")),
        };
        let (Some(inner), false) = (helper.template(), turns.is_empty()) else {
            return match helper.inverse() {
                Some(inverse) => inverse.render(registry, context, rc, out),
                None => Ok(()),
            };
        };
        let mut counted = Counted {
            out,
            budget: self.scene.budget,
        };
        let base = value.context_path().cloned();
        let is_map = value.value().is_object();
        self.turns(
            helper,
            inner,
            &turns,
            base.as_ref(),
            is_map,
            (registry, context, rc),
            &mut counted,
        )
    }
}

impl Each<'_> {
    #[expect(
        clippy::too_many_arguments,
        reason = "the interface of helpers hands on five of them"
    )]
    fn turns<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        inner: &'rc Template,
        turns: &[(String, Value, &Value)],
        base: Option<&Vec<String>>,
        is_map: bool,
        (registry, context, rc): (
            &'reg Handlebars<'reg>,
            &'rc Context,
            &mut RenderContext<'reg, 'rc>,
        ),
        out: &mut dyn Output,
    ) -> HelperResult {
        let last = turns.len().saturating_sub(1);
        for (index, (step, key, item)) in turns.iter().enumerate() {
            self.scene.budget.step().map_err(fault)?;
            let mut block = BlockContext::new();
            block.set_local_var("first", Value::Bool(index == 0));
            block.set_local_var("last", Value::Bool(index == last));
            block.set_local_var("index", index.into());
            if is_map {
                block.set_local_var("key", key.clone());
            }
            match base {
                Some(base) => {
                    block.base_path_mut().clone_from(base);
                    block.base_path_mut().push(step.clone());
                }
                None => block.set_base_value((*item).clone()),
            }
            set_params(helper, &mut block, base.is_some(), key, item)?;
            rc.push_block(block);
            let result = inner.render(registry, context, rc, out);
            rc.pop_block();
            result?;
        }
        Ok(())
    }
}

fn set_params<'rc>(
    helper: &Helper<'rc>,
    block: &mut BlockContext<'rc>,
    by_path: bool,
    key: &Value,
    item: &Value,
) -> Result<(), RenderError> {
    let (value_name, key_name) = match (helper.block_param_pair(), helper.block_param()) {
        (Some((value, key)), _) => (value, Some(key)),
        (None, Some(value)) => (value, None),
        (None, None) => return Ok(()),
    };
    let mut params = BlockParams::new();
    if by_path {
        params.add_path(value_name, Vec::new())?;
    } else {
        params.add_value(value_name, item.clone())?;
    }
    if let Some(key_name) = key_name {
        params.add_value(key_name, key.clone())?;
    }
    block.set_block_params(params);
    Ok(())
}
