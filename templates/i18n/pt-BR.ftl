### Textos que todas as mensagens podem usar. O arquivo i18n da própria mensagem tem prioridade.
### Textos de SMS ficam no alfabeto GSM-7: sem á, â, ã, ç, ê, í, ó, ô, õ, ú; aspas retas e sem travessão.

## Abertura e despedida

# "cliente" é o valor usado quando não sabemos o nome; nesse caso a saudação fica sem nome.
greeting = { $name ->
    [cliente] Olá!
   *[other] Olá, { $name }!
}
sign-off = Um abraço da equipe { $shop }

## Dados e botões

label-carrier = Transportadora
label-delivered = Entregue
label-estimated-delivery = Previsão de entrega
label-location = Local da entrega
label-order = Pedido
label-order-date = Data do pedido
label-tracking-number = Código de rastreamento
track-parcel = Rastrear a entrega
view-order = Ver meu pedido

## Itens do pedido

lines-article = Item
lines-price = Preço
lines-subtotal = Subtotal
lines-shipping = Frete
lines-total = Total
lines-shown = Mostrando { $shown } de { $total } itens

## Cupons

voucher-percent = { $percent }% de desconto
voucher-value = { $amount } de desconto
voucher-code = Seu cupom
voucher-valid-until = Válido até { $date }

## Rodapé

footer-help = Ficou com alguma dúvida? Estamos aqui para ajudar: { $email }
footer-help-centre = Central de ajuda
footer-why-order = Você recebeu esta mensagem porque ela trata do seu pedido na { $shop }.
footer-why-customer = Você recebeu esta mensagem porque é cliente da { $shop }. Você decide o que quer receber.
footer-preferences = Escolher o que quero receber
footer-unsubscribe = Cancelar inscrição

## SMS

sms-stop = Para sair: STOP
