subject = O seu pedido { $number } foi cancelado
preheader = Você não precisa fazer mais nada.
preheader-refund = O seu reembolso de { $amount } está a caminho.
headline = O seu pedido foi cancelado
intro = Cancelamos o seu pedido { $number }. Você não precisa fazer mais nada.
# $reason é customer_request, out_of_stock, payment ou other.
reason = { $reason ->
    [customer_request] O cancelamento foi solicitado por você.
    [out_of_stock] Pedimos desculpas: um dos itens não está mais disponível.
    [payment] Não foi possível concluir o pagamento.
   *[other] Se quiser saber o motivo, é só falar com a gente.
}
label-order-total = Total do pedido
refund = Estamos reembolsando { $amount } na forma de pagamento original.
refund-days = { $days ->
    [one] O valor deve aparecer na sua conta em até um dia útil.
   *[other] O valor deve aparecer na sua conta em até { $days } dias úteis.
}
payment-question = Alguma dúvida sobre o pagamento? Escreva para { $email } e nós verificamos.
sms = { $shop }: o seu pedido { $number } foi cancelado.
sms-refund = O reembolso foi iniciado.
sms-questions = Precisa de ajuda? { $email }
